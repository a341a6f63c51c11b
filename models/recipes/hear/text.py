"""What people say to a home assistant, and what it answers: a grammar that writes sentences for
hear-nano, with each sentence's spelling (digits, capitals, punctuation, as Whisper writes) and the
words that are spoken for it. About one template in six of TEMPLATES is kept out of training, so that
the held-out sentences are new phrasings, not only new values; no training sentence fits a held-out
template (see `heldout_pattern`). No text is taken from anywhere else.

A decoder that knows all phrasings by heart guesses instead of listening. So training also has a kind
"mixed": sentences joined from the beginning and the end of two or three others, and words in any order.

A template holds {slots} and [either|or] choices. `python text.py` prints samples and counts.
"""
import random
import re
import zlib

# ---------------------------------------------------------------- words that fill the slots
ROOMS = """kitchen;living room;bedroom;bathroom;hall;hallway;office;study;garage;attic;basement;cellar;
dining room;guest room;nursery;kids room;children's room;laundry room;utility room;pantry;library;
workshop;balcony;terrace;garden;greenhouse;shed;porch;conservatory;sun room;play room;music room;
gym;sauna;corridor;entrance;landing;staircase;upstairs hall;downstairs hall;main bedroom;
small bedroom;spare room;sitting room;family room;lounge;den;studio;stable;barn;cabin;loft;
closet;wardrobe;storage room;server room;meeting room;boat house;pool house;tool shed;
front room;back room;blue room;green room;wine cellar;master bedroom;guest bathroom;shower room""".replace("\n", "").split(";")
COMMON_ROOMS = "kitchen;living room;bedroom;bathroom;hall;office;garage;attic;basement;dining room;nursery;hallway;study;garden;guest room".split(";")
DOORS = """front door;back door;garage door;side door;cellar door;balcony door;patio door;garden gate;main gate;
kitchen door;bathroom door;terrace door;basement door;shed door;office door;bedroom door;kitchen window;
bedroom window;bathroom window;roof window;living room window;attic hatch;entrance door;barn door;
stable door;glass door;cat flap;workshop door;greenhouse door;porch door;gate;driveway gate;cellar window""".replace("\n", "").split(";")
DEVICES = """coffee machine;washing machine;dishwasher;dryer;television;radio;heater;fan;oven;kettle;toaster;
robot vacuum;vacuum cleaner;printer;speaker;computer;router;humidifier;dehumidifier;air conditioner;
boiler;water pump;pool pump;sprinkler;freezer;fridge;microwave;stove;lamp;night light;alarm;siren;
doorbell;camera;projector;game console;electric blanket;air purifier;towel heater;car charger;
bread maker;rice cooker;slow cooker;aquarium pump;fish tank;iron;blender;mixer;ceiling fan;
garden lights;christmas tree;fountain;lawn mower;thermostat;water heater;space heater;sound system;
music player;record player;screen;server;charger;popcorn machine;sewing machine""".replace("\n", "").split(";")
PEOPLE = "Anna;Ben;Clara;David;Emma;Frank;Grace;Henry;Ida;Jack;Kate;Leo;Maria;Nina;Oscar;Paul;Rosa;Sam;Tom;Lucy;Peter;Sarah;Alice;Martin;Helen;Robert;Julia;Max;Oliver;Sophie;Mary;John;James;Linda;Susan;George".split(";")
CITIES = "London;Paris;Berlin;Rome;Madrid;New York;Tokyo;Oslo;Vienna;Dublin;Boston;Chicago;Sydney;Moscow;Cairo;Lisbon;Athens;Prague;Zurich;Munich;Hamburg;Amsterdam;Brussels;Stockholm;Helsinki;Toronto;Delhi;Seattle".split(";")
WEATHERS = "rain;snow;sun;fog;clear;cloudy;windy;rainy;sunny;light rain;heavy rain;storm;thunderstorm;drizzle;hail;overcast;partly cloudy;light snow".split(";")
DAYS = "Monday;Tuesday;Wednesday;Thursday;Friday;Saturday;Sunday".split(";")
MONTHS = "January;February;March;April;May;June;July;August;September;October;November;December".split(";")
CHORES = """the pasta;the eggs;the tea;the pizza;the cake;the laundry;the bread;the rice;the potatoes;the soup;
my nap;the chicken;the cookies;the meeting;the break;homework;the oven;the washing;practice;the roast""".replace("\n", "").split(";")
FOODS = """bread;milk;butter;cheese;eggs;apples;coffee;tea;sugar;salt;rice;pasta;soup;chicken;fish;tomatoes;
onions;carrots;bananas;oranges;water;juice;chocolate;honey;flour;yogurt;beans;cake;pizza;potatoes;garlic;pepper;cream;lemons;grapes""".replace("\n", "").split(";")
SPORTS = "football;tennis;basketball;hockey;baseball;rugby;cricket;soccer;golf;chess".split(";")
NUMBER_UNDER = lambda r, a, b: str(r.randint(a, b))

# filler: general English, for the sounds of words which the home never uses
ANIMALS = """dog;cat;horse;bird;mouse;cow;sheep;goat;fox;wolf;bear;lion;tiger;elephant;rabbit;duck;goose;hen;frog;snake;
spider;bee;fly;whale;shark;monkey;pig;deer;owl;eagle;swan;squirrel;turtle;butterfly;donkey;camel;giraffe;penguin""".replace("\n", "").split(";")
PERSONS = """man;woman;boy;girl;child;baby;teacher;doctor;nurse;farmer;driver;baker;singer;writer;painter;sailor;soldier;
king;queen;prince;judge;lawyer;student;neighbor;friend;brother;sister;mother;father;uncle;aunt;cousin;grandmother;
grandfather;policeman;waiter;cook;captain;pilot;engineer;artist;musician;gardener;mechanic;scientist;stranger;guest;visitor;
postman;plumber;electrician;dentist;actor;dancer;hunter;fisherman;thief;hero;giant;witch""".replace("\n", "").split(";")
THINGS = """book;letter;box;bag;hat;coat;shoe;shirt;table;chair;bed;cup;plate;bowl;spoon;knife;fork;glass;bottle;basket;
picture;map;clock;watch;phone;pen;pencil;paper;ball;toy;doll;kite;drum;guitar;piano;violin;key;lock;ladder;hammer;nail;
rope;wheel;engine;car;truck;bus;train;bicycle;boat;ship;plane;bridge;tower;wall;roof;floor;stone;rock;stick;
leaf;flower;tree;bush;root;branch;apple;pear;plum;cherry;grape;lemon;orange;peach;nut;candle;match;mirror;carpet;
curtain;pillow;blanket;towel;soap;brush;comb;ring;coin;purse;wallet;umbrella;glove;scarf;belt;button;needle;thread;
newspaper;magazine;notebook;envelope;stamp;ticket;package;parcel;suitcase;bucket;shovel;rake;saw;axe;pot;pan;jar;can""".replace("\n", "").split(";")
PLACES = """house;school;church;market;shop;station;park;forest;field;river;lake;sea;beach;mountain;hill;valley;island;village;
town;city;street;road;farm;hospital;hotel;restaurant;museum;theater;cinema;bank;post office;airport;harbor;castle;palace;
factory;desert;cave;jungle;meadow;pond;corner;square;yard;playground;stadium;bakery;pharmacy;supermarket""".replace("\n", "").split(";")
ADJECTIVES = """big;small;old;young;new;red;blue;green;yellow;white;black;brown;gray;pink;purple;happy;sad;angry;tired;hungry;
thirsty;cold;warm;hot;wet;dry;clean;dirty;heavy;light;fast;slow;loud;quiet;strong;weak;rich;poor;kind;cruel;clever;
foolish;brave;shy;proud;lazy;busy;strange;beautiful;ugly;pretty;lovely;terrible;wonderful;famous;empty;full;broken;
round;flat;sharp;soft;hard;smooth;rough;thick;thin;tall;short;long;wide;narrow;deep;sweet;bitter;sour;fresh;
golden;silver;wooden;modern;ancient;little;huge;tiny;gentle;friendly;nervous;curious;careful;cheap;expensive;useful""".replace("\n", "").split(";")
VERBS = """sees;finds;takes;brings;buys;sells;makes;breaks;opens;closes;carries;throws;catches;hides;loses;wants;likes;loves;
hates;needs;keeps;holds;drops;pushes;pulls;paints;washes;cleans;fixes;builds;draws;follows;watches;hears;
remembers;forgets;knows;understands;chooses;changes;moves;touches;shows;gives away;picks up;puts down;looks for;
looks at;waits for;asks for;talks about;thinks about;dreams of;laughs at;points at;runs after""".replace("\n", "").split(";")
PASTS = """saw;found;took;brought;bought;sold;made;broke;opened;closed;carried;threw;caught;hid;lost;wanted;liked;loved;
needed;kept;held;dropped;pushed;pulled;painted;washed;cleaned;fixed;built;drew;followed;watched;heard;
remembered;forgot;knew;understood;chose;changed;moved;touched;showed;gave away;picked up;put down;looked for;
wrote about;read about;stole;sent;received;returned;borrowed;wrapped;measured;counted;burned;cut;filled;shook""".replace("\n", "").split(";")
BASES = """see;find;take;bring;buy;sell;make;break;open;close;carry;throw;catch;hide;lose;like;love;need;keep;hold;drop;push;pull;
paint;wash;clean;fix;build;draw;follow;watch;hear;remember;forget;know;understand;choose;change;move;touch;show;use;
try;help;call;visit;meet;thank;teach;tell;ask;answer;join;leave;eat;cook;share;save;send;write;read""".replace("\n", "").split(";")
ADVERBS = """quickly;slowly;quietly;loudly;carefully;happily;sadly;suddenly;often;always;never;sometimes;usually;again;
today;tomorrow;yesterday;tonight;every day;every morning;last night;last week;next year;at noon;at midnight;in the evening;
in the morning;after lunch;before dinner;all day;for a long time;once more;right away;together;alone;at home;
in winter;in summer;in spring;in autumn;on the weekend;during the storm;at last;of course;too late;very early""".replace("\n", "").split(";")
ABSTRACTS = """time;money;music;love;hope;fear;work;sleep;luck;truth;peace;power;freedom;history;science;nature;language;health;
energy;heat;noise;silence;color;weather;story;song;question;answer;idea;plan;dream;problem;reason;secret;mistake;
promise;surprise;journey;adventure;holiday;birthday;party;game;lesson;future;past;voice;world;life;knowledge""".replace("\n", "").split(";")
PLURALS = """books;letters;boxes;bags;hats;shoes;shirts;tables;chairs;beds;cups;plates;bowls;spoons;knives;forks;glasses;bottles;
baskets;pictures;maps;clocks;watches;phones;pens;pencils;balls;toys;dolls;drums;keys;locks;ladders;hammers;nails;wheels;
engines;cars;trucks;buses;trains;boats;ships;planes;bridges;towers;walls;stones;rocks;sticks;leaves;flowers;trees;bushes;
branches;apples;plums;cherries;grapes;lemons;oranges;peaches;nuts;candles;mirrors;curtains;pillows;blankets;towels;brushes;
rings;coins;gloves;belts;buttons;needles;newspapers;stamps;tickets;parcels;buckets;cans;jars;potatoes;tomatoes;carrots;
dogs;cats;horses;birds;mice;cows;goats;foxes;wolves;bears;lions;rabbits;ducks;geese;frogs;snakes;spiders;bees;
flies;whales;monkeys;pigs;owls;swans;penguins;men;women;boys;girls;children;babies;teachers;doctors;nurses;farmers;drivers;
singers;sailors;soldiers;kings;judges;students;neighbors;friends;brothers;sisters;cousins;visitors;pilots;thieves;heroes;
houses;schools;churches;shops;parks;fields;rivers;lakes;hills;islands;villages;towns;cities;streets;songs;stories;games;
questions;answers;ideas;dreams;lessons;problems;windows;doors;lights;rooms;people""".replace("\n", "").split(";")
DOINGS = """reading;writing;cooking;eating;drinking;sleeping;walking;running;singing;dancing;swimming;working;playing;laughing;
crying;shouting;whispering;waiting;watching television;washing the dishes;cleaning the floor;painting the wall;
fixing the roof;building a boat;looking for a job;thinking about it;talking too much;listening to music;learning English;
driving too fast;riding a bicycle;climbing a tree;fishing;hunting;shopping;traveling;packing;moving;leaving;staying;
sitting;standing;lying;growing;changing;trying;helping;calling;asking;counting;drawing;baking;knitting;skating;
playing cards;making tea;feeding the birds;getting up;going home;coming back;falling asleep;hurrying""".replace("\n", "").split(";")
COMPARATIVES = """bigger;smaller;older;younger;newer;happier;sadder;angrier;colder;warmer;hotter;drier;cleaner;heavier;lighter;
faster;slower;louder;quieter;stronger;weaker;richer;poorer;kinder;braver;lazier;prettier;better;worse;taller;shorter;longer;
wider;deeper;softer;harder;sweeter;cheaper;darker;brighter;easier;safer;closer;further away;more useful;more expensive;
more beautiful;more dangerous;more important;more interesting;less useful;less famous;less modern;less nervous""".replace("\n", "").split(";")
SUPERLATIVES = """biggest;smallest;oldest;youngest;newest;happiest;coldest;warmest;heaviest;fastest;slowest;loudest;strongest;
richest;kindest;bravest;prettiest;best;worst;tallest;shortest;longest;deepest;sweetest;cheapest;funniest;strangest;
most useful;most expensive;most beautiful;most dangerous;most famous;least important""".replace("\n", "").split(";")
PARTICIPLES = """seen;found;taken;brought;bought;sold;made;broken;opened;closed;carried;thrown;caught;hidden;lost;kept;held;dropped;
pushed;pulled;painted;washed;cleaned;fixed;built;drawn;followed;watched;heard;forgotten;understood;chosen;changed;moved;
touched;used;tried;helped;met;eaten;cooked;saved;sent;read;written;stolen;borrowed;cut;burned;filled""".replace("\n", "").split(";")
PREPOSITIONS = "in;near;behind;at;from;under;above;beside;around;over;through;across;along;outside;inside;past;toward;into;to;beyond;opposite".split(";")
PRONOUNS = "you;him;her;them;us;me;it".split(";")


def time_of_day(r):
    h = r.randint(0, 23)
    m = r.choice([0, 15, 30, 45, r.randint(0, 59), r.randint(0, 59), 5 * r.randint(0, 11)])
    return f"{h}:{m:02d}" if r.random() < 0.5 else f"{h:02d}:{m:02d}"


def temperature(r):
    t = r.choice([r.uniform(15, 27), r.uniform(15, 27), r.uniform(-15, 40)])
    s = f"{t:.1f}" if r.random() < 0.7 else f"{t:.0f}"
    return s[:-2] if s.endswith(".0") else s.replace("-0", "0") if s == "-0" else s


def duration(r):
    k = r.random()
    if k < 0.45:
        n = r.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 18, 20, 25, 30, 35, 40, 45, 50, 55, 60, 90, r.randint(1, 120)])
        return f"{n} minute" + "s" * (n != 1)
    if k < 0.65:
        n = r.choice([5, 10, 15, 20, 30, 40, 45, 50, 60, 90, r.randint(1, 99)])
        return f"{n} second" + "s" * (n != 1)
    if k < 0.82:
        n = r.randint(1, 24)
        return f"{n} hour" + "s" * (n != 1)
    a, b = r.randint(1, 12), r.choice([10, 15, 20, 30, 45, 5, r.randint(1, 59)])
    if r.random() < 0.5:
        return f"{a} minute{'s' * (a != 1)} {r.choice(['', 'and '])}{b} second{'s' * (b != 1)}"
    return f"{a} hour{'s' * (a != 1)} {r.choice(['', 'and '])}{b} minute{'s' * (b != 1)}"


def a_(word):
    return ("an " if word[0] in "aeiou" else "a ") + word


def an_adjective_noun(r, nouns):
    n = r.choice(nouns)
    if r.random() < 0.6:
        n = r.choice(ADJECTIVES) + " " + n
    return n


def noun_phrase(r, nouns):
    k = r.random()
    n = an_adjective_noun(r, nouns)
    if k < 0.45:
        return "the " + n
    if k < 0.7:
        return a_(n)
    return r.choice(["my", "your", "his", "her", "our", "their", "this", "that", "every", "another"]) + " " + n


def some(r, items, n):
    xs = r.sample(items, n)
    return xs[0] if n == 1 else ", ".join(xs[:-1]) + " and " + xs[-1]


def moment(r):
    return r.choice([
        lambda: r.choice(ADVERBS), lambda: r.choice(["at", "before", "after", "until", "since"]) + " " + time_of_day(r),
        lambda: r.choice(["on", "since", "until", "every", "next", "last"]) + " " + r.choice(DAYS),
        lambda: r.choice(["in", "since", "until", "next", "last"]) + " " + r.choice(MONTHS),
        lambda: f"on {r.choice(MONTHS)} {r.randint(1, 31)}", lambda: f"in {r.randint(1900, 2040)}",
        lambda: f"{r.randint(2, 30)} {r.choice(['days', 'weeks', 'months', 'years', 'hours'])} ago",
        lambda: f"for {duration(r)}", lambda: f"in {duration(r)}",
        lambda: r.choice(["after", "before", "during"]) + " " + r.choice(["breakfast", "lunch", "dinner", "the party", "the storm", "school", "work", "the game"]),
        lambda: r.choice(["with", "without", "for", "because of"]) + " " + r.choice(PRONOUNS)])()


SLOTS = {
    "room": lambda r: r.choice(ROOMS if r.random() < 0.5 else COMMON_ROOMS),
    "door": lambda r: r.choice(DOORS if r.random() < 0.5 else DOORS[:8]),
    "device": lambda r: r.choice(DEVICES if r.random() < 0.6 else DEVICES[:16]),
    "person": lambda r: r.choice(PEOPLE),
    "city": lambda r: r.choice(CITIES),
    "weather": lambda r: r.choice(WEATHERS),
    "day": lambda r: r.choice(DAYS),
    "month": lambda r: r.choice(MONTHS),
    "chore": lambda r: r.choice(CHORES),
    "food": lambda r: r.choice(FOODS),
    "sport": lambda r: r.choice(SPORTS),
    "time": time_of_day,
    "temp": temperature,
    "set": lambda r: str(r.randint(12, 28)),
    "pct": lambda r: str(r.randint(0, 100)),
    "dur": duration,
    "n": lambda r: str(r.choice([r.randint(2, 12), r.randint(2, 99), r.randint(100, 999)])),
    "small": lambda r: str(r.randint(2, 9)),
    "dom": lambda r: str(r.randint(1, 31)),
    "year": lambda r: str(r.choice([2024, 2025, 2026, 2027, 2028, 2030, r.randint(1950, 2035)])),
    "onoff": lambda r: r.choice(["on", "off"]),
    "lockstate": lambda r: r.choice(["locked", "unlocked", "open", "closed"]),
    "lockverb": lambda r: r.choice(["lock", "unlock", "open", "close"]),
    "rooms": lambda r: some(r, COMMON_ROOMS, r.randint(2, 4)),
    "doors": lambda r: some(r, DOORS[:16], r.randint(2, 3)),
    "devices": lambda r: some(r, DEVICES[:20], r.randint(2, 3)),
    "who": lambda r: noun_phrase(r, PERSONS + ANIMALS),
    "what": lambda r: noun_phrase(r, THINGS + FOODS),
    "thing": lambda r: r.choice(THINGS),
    "animal": lambda r: r.choice(ANIMALS),
    "where": lambda r: r.choice(["in", "near", "behind", "at", "from"]) + " the " + r.choice(PLACES),
    "place": lambda r: r.choice(PLACES),
    "adj": lambda r: r.choice(ADJECTIVES),
    "verb": lambda r: r.choice(VERBS),
    "past": lambda r: r.choice(PASTS),
    "base": lambda r: r.choice(BASES),
    "adv": lambda r: r.choice(ADVERBS),
    "abs": lambda r: r.choice(ABSTRACTS),
    "job": lambda r: r.choice(PERSONS),
    "plural": lambda r: (r.choice(ADJECTIVES) + " " if r.random() < 0.2 else "") + r.choice(PLURALS),
    "ing": lambda r: r.choice(DOINGS),
    "more": lambda r: r.choice(COMPARATIVES),
    "most": lambda r: r.choice(SUPERLATIVES),
    "done": lambda r: r.choice(PARTICIPLES),
    "whereto": lambda r: r.choice(PREPOSITIONS) + r.choice([" the ", " the ", " a ", " my ", " our ", " that "]) + r.choice(PLACES),
    "when": moment,
}

# ---------------------------------------------------------------- templates: one a line
TEMPLATES = {
    "question": """
What is the temperature in the {room}?
What's the temperature in the {room}?
How warm is it in the {room}?
How cold is it in the {room}?
How hot is the {room}?
Tell me the temperature in the {room}.
What temperature is it in the {room}?
Can you tell me how warm the {room} is?
What does the thermometer in the {room} say?
Give me the temperature of the {room}.
Is it warm in the {room}?
Is it cold in the {room} [right now|now|at the moment]?
How many degrees is it in the {room}?
Do you know the temperature in the {room}?
Temperature in the {room}?
Temperature in the {room}, please.
What is the humidity in the {room}?
How humid is it in the {room}?
How humid is the {room} [right now|today]?
What's the humidity of the {room}?
Tell me the humidity in the {room}.
Is the air in the {room} dry?
Is it damp in the {room}?
Is the humidity in the {room} above {pct} percent?
Is the {room} too humid?
Is the light on in the {room}?
Is the {room} light on?
Is the {room} light {onoff}?
Is the light in the {room} {onoff}?
Are the lights on in the {room}?
Did I leave the light on in the {room}?
Did I leave the {room} light on?
Is there a light on in the {room}?
Is there light in the {room}?
Is it dark in the {room}?
Which lights are on?
Which lights are off?
What lights are on?
What lights are still on?
Are any lights on?
Are all the lights off?
Are all lights on?
Is any light still on [upstairs|downstairs|]?
How many lights are on?
How many lights are off?
Where is the light on?
In which rooms is the light on?
Which rooms are dark?
Which rooms have the light on?
Did I leave any lights on?
Is the {door} locked?
Is the {door} {lockstate}?
Is the {door} [open|closed] [right now|]?
Did I lock the {door}?
Did I close the {door}?
Did someone open the {door}?
Did I forget to lock the {door}?
Have I locked the {door}?
Can you check the {door}?
Can you check if the {door} is {lockstate}?
What is the state of the {door}?
How about the {door}?
Please check whether the {door} is locked.
Which doors are {lockstate}?
Which door is open?
Are all doors locked?
Are all the doors closed?
Are the doors locked?
Are the windows closed?
Are any doors open?
Is any door unlocked?
Is the house locked?
How many doors are open?
Is everything locked?
Is everything closed?
Is the {device} on?
Is the {device} off?
Is the {device} running?
Is the {device} still on?
Is the {device} turned {onoff}?
Did I turn off the {device}?
Did I switch off the {device}?
Did I leave the {device} on?
Is somebody using the {device}?
What is the {device} doing?
Which devices are on?
Which devices are off?
Which devices are running?
What is still on?
What is switched on?
What's turned on [right now|at the moment|]?
Are any devices on?
Are all devices off?
Is everything off?
Is anything on?
How many devices are running?
What is the temperature outside?
How cold is it outside?
How warm is it outside?
What's it like outside?
What is the weather like?
What is the weather outside?
How is the weather?
How's the weather today?
Is it raining?
Is it raining outside?
Is it snowing [outside|]?
Is the sun shining?
Do I need an umbrella?
Do I need a coat?
Should I take a jacket?
Is it freezing outside?
Is it sunny [today|outside|]?
Is it windy [today|outside|]?
Is it foggy out there?
And in the {room}?
And the {room}?
And outside?
And the {door}?
And the {device}?
And what about the {room}?
What about the {room}?
What about the {door}?
What about the {device}?
What about outside?
How about the {room}?
How about in the {room}?
And the humidity?
And the light?
And the temperature?
And now?
And the other [one|rooms|doors|lights]?
And there?
And is it on?
And is it locked?
And how warm is it there?
And the humidity in the {room}?
Where is it warmest?
Where is it coldest?
Which room is the warmest?
Which room is the coldest?
What is the warmest room?
What is the coldest room [in the house|]?
Which room is the most humid?
Which room has the highest temperature?
Which room has the lowest humidity?
Where is the air driest?
Is it warmer in the {room} than in the {room}?
Is it warmer in the {room} than outside?
Is it colder in the {room} than in the {room}?
Is the {room} warmer than the {room}?
Is the {room} colder than the {room}?
Is it colder outside than in the {room}?
Is it warmer inside or outside?
What is warmer, the {room} or the {room}?
Which is colder, the {room} or the {room}?
How much warmer is the {room} than the {room}?
Is it above {set} degrees in the {room}?
Is it below {set} degrees in the {room}?
Is the {room} warmer than {set} degrees?
Is it at least {set} degrees in the {room}?
Which rooms are warmer than {set} degrees?
Which rooms are below {set} degrees?
What is the average temperature [in the house|]?
What rooms are there?
Which rooms do you know?
What doors are there?
What devices do I have?
How many rooms are there?
How is the {room}?
What is going on in the {room}?
Tell me about the {room}.
What can you tell me about the {room}?
Give me a summary of the house.
How is the house?
Is everything okay at home?
What's happening at home?
Is there a {device} in the {room}?
Is there a {room} [here|in this house]?
Do we have a {device}?
What time is it?
What is the time?
What's the time [now|please|]?
Can you tell me the time?
Tell me the time.
Tell me what time it is.
Do you know what time it is?
How late is it?
What day is it [today|]?
What is the date today?
What's the date?
What's today's date?
Which day is it?
What day of the week is it?
What month is it?
What year is it?
Is it {day} today?
Is today {day}?
Is it the weekend?
Is it past {time}?
Is it already {time}?
How long until {time}?
""",
    "command": """
Turn on the {room} light.
Turn off the {room} light.
Turn on the light in the {room}.
Turn off the light in the {room}.
Turn the {room} light {onoff}.
Turn the light {onoff} in the {room}.
Turn {onoff} the lights in the {room}.
Switch on the {room} light.
Switch off the {room} light.
Switch the {room} light {onoff}.
Switch {onoff} the light in the {room}.
Light {onoff} in the {room}.
Lights {onoff} in the {room}, please.
Please turn on the {room} light.
Please turn off the {room} light.
Please switch {onoff} the {room} lights.
Can you turn on the light in the {room}?
Can you turn {onoff} the {room} light[, please|]?
Could you turn off the {room} light?
Could you please switch {onoff} the light in the {room}?
Would you turn the {room} light {onoff}?
I want the {room} light {onoff}.
I need light in the {room}.
Make it bright in the {room}.
Make it dark in the {room}.
It is too dark in the {room}.
It's too bright in the {room}.
Let there be light in the {room}.
Put the {room} light {onoff}.
Put {onoff} the light in the {room}.
Turn on all the lights.
Turn off all the lights.
Turn off all lights.
Turn all lights {onoff}.
All lights {onoff}.
All lights {onoff}, please.
Switch off everything.
Switch all the lights {onoff}.
Turn everything off.
Turn on every light.
Lights out.
Lights on.
Kill the lights in the {room}.
Turn it {onoff}.
Turn it {onoff} again.
Turn that {onoff}.
Turn them all {onoff}.
Turn {onoff} the lights in the {room} and the {room}.
Turn off the {room} light and lock the {door}.
Turn on the {room} light and the {device}.
Lock the {door}.
Unlock the {door}.
Open the {door}.
Close the {door}.
Please {lockverb} the {door}.
Please lock the {door} [now|for me|].
Can you {lockverb} the {door}?
Could you {lockverb} the {door}, please?
Would you please {lockverb} the {door}?
Would you mind closing the {door}?
Shut the {door}.
Lock all doors.
Lock all the doors.
Close all the windows.
Close all doors, please.
Lock up the house.
Lock up.
Make sure the {door} is {lockstate}.
Make sure all doors are locked.
I want the {door} {lockstate}.
Let me in through the {door}.
Lock the {door} and the {door}.
Lock it.
Unlock it again.
Open it.
Close it, please.
Turn on the {device}.
Turn off the {device}.
Turn the {device} {onoff}.
Switch on the {device}.
Switch off the {device}.
Switch the {device} {onoff}.
Start the {device}.
Stop the {device}.
Please turn {onoff} the {device}.
Please start the {device}.
Can you turn {onoff} the {device}?
Can you switch the {device} {onoff}?
Could you start the {device}?
Could you turn off the {device}, please?
I need the {device} {onoff}.
Run the {device}.
Shut down the {device}.
Power {onoff} the {device}.
Turn {onoff} all devices.
Turn off the {device} and the {device}.
Set a timer for {dur}.
Set a timer for {dur}, please.
Set the timer to {dur}.
Set a {small} minute timer.
Start a timer for {dur}.
Start a timer of {dur}.
Start a {n} minute timer.
Please set a timer for {dur}.
Can you set a timer for {dur}?
Could you start a timer for {dur}?
Timer for {dur}.
Timer, {dur}.
{dur} timer, please.
Remind me in {dur}.
Wake me in {dur}.
Wake me up in {dur}.
Give me {dur}.
Count down {dur}.
Tell me when {dur} are over.
I need a timer for {dur}.
Make a timer for {chore}, {dur}.
Set a timer for {chore}: {dur}.
{dur} for {chore}.
Let me know in {dur}.
Call me in {dur}.
Set an alarm for {time}.
Wake me up at {time}.
Set the {room} to {set} degrees.
Set the temperature in the {room} to {set} degrees.
Heat the {room} to {set} degrees.
Make it {set} degrees in the {room}.
Make the {room} [warmer|cooler].
Make it warmer in the {room}.
Dim the {room} light to {pct} percent.
Set the {room} light to {pct} percent.
Good night, turn everything off.
I'm going to bed, turn off the lights.
I'm leaving, lock the doors.
I'm home, turn on the {room} light.
We're leaving, turn off the {device}.
Cancel the timer.
Stop the timer.
Stop.
Cancel.
Never mind.
Be quiet.
Louder, please.
Say that again.
Repeat that, please.
Go on.
Help.
""",
    "social": """
Hello.
Hello there.
Hi.
Hi there.
Hey.
Hey, are you there?
Hello, Nearfield.
Nearfield, are you listening?
Good morning.
Good afternoon.
Good evening.
Good night.
Good night, sleep well.
Good morning, how are you?
How are you?
How are you today?
How are you doing?
How is it going?
How do you do?
How was your day?
Are you okay?
Thank you.
Thank you very much.
Thank you, that is all.
Thanks.
Thanks a lot.
Thanks for your help.
That's great, thank you.
You are very kind.
Well done.
Good job.
Great.
Perfect.
Okay.
Okay, thanks.
All right.
Yes.
Yes, please.
No.
No, thank you.
No, thanks.
Please.
Sorry.
Excuse me.
Goodbye.
Bye.
Bye bye.
See you later.
See you tomorrow.
Who are you?
What are you?
What is your name?
What's your name?
What can you do?
What can I ask you?
What do you know?
Can you help me?
Help me, please.
Are you a robot?
Are you a human?
Are you real?
Where are you?
Where do you live?
How old are you?
Who made you?
Who built you?
Do you like {food}?
Do you like {abs}?
Do you have friends?
Do you sleep?
Do you dream?
Are you listening to me?
Can you hear me?
Can you see me?
Do you need the internet?
Are you online?
Do you understand me?
Do you speak English?
Tell me a joke.
Tell me something funny.
Tell me a story.
Sing a song [for me|].
I love you.
I like you.
I am tired.
I am hungry.
I'm cold.
I'm home.
I'm bored.
I am happy today.
I had a bad day.
My name is {person}.
This is {person}.
{person} is here.
Say hello to {person}.
What do you think about {abs}?
What is the meaning of life?
You are funny.
You're wrong.
That is not right.
That's wrong.
I didn't say that.
I don't understand.
What did you say?
Really?
Are you sure?
Why?
Why not?
""",
    "decline": """
Who won the {sport} game?
Who won the {sport} match [yesterday|last night]?
Who will win the {sport} game [tomorrow|on {day}|tonight]?
What was the score of the {sport} game?
When is the next {sport} match?
What is the news?
What's in the news today?
What happened in {city} [today|yesterday]?
Read me the news.
What is the weather in {city}?
How warm is it in {city}?
What will the weather be tomorrow?
Will it rain tomorrow?
Will it snow on {day}?
What is the forecast for {day}?
What will the temperature be next week?
Will it be warmer [tomorrow|next week]?
What is the price of {food}?
What are the stock prices?
How much is a flight to {city}?
How much does a {thing} cost?
How far is it to {city}?
How do I get to {city}?
How long is the drive to {city}?
When does the train to {city} leave?
When does the bus to the {place} come?
When does the {place} open?
Is the {place} open today?
Who is the president?
Who is the king of {city}?
Who wrote that book?
How many people live in {city}?
What is the capital of France?
How tall is the tower in {city}?
How old is {person}?
Where is {person}?
When is {person}'s birthday?
Who is {person}?
What did {person} say?
Is {person} at home?
Call {person}.
Send a message to {person}.
Write an email to {person}.
Did {person} call?
What's on television tonight?
Play some music.
Play a song by {person}.
What is this song called?
What is {n} times {small}?
What is {n} plus {n}?
How do I cook {food}?
How do you make {food}?
Give me a recipe for {food}.
Order a pizza.
Order some {food}.
Add {food} to the shopping list.
Put {food} and {food} on my list.
Buy {food}, please.
What is on my calendar?
Do I have a meeting [today|tomorrow|on {day}]?
What am I doing on {day}?
When is my next appointment?
What is my password?
What is the wifi password?
Where are my keys?
Where did I leave my {thing}?
Where is my {thing}?
Who is at the door?
Who rang the doorbell?
Has the mail come?
What will happen tomorrow?
What number am I thinking of?
What was the temperature yesterday?
How warm was it in the {room} [yesterday|this morning|last night]?
When was the {door} opened?
Who opened the {door}?
How much power does the {device} use?
How long has the {device} been running?
Translate that into German.
How do you say {thing} in French?
Book a table for {small} at {time}.
How many days until {month} {dom}?
How many calories are in {food}?
Is {food} good for {animal}s?
""",
    "reply": """
It is {temp} degrees in the {room}.
It is {temp} degrees in the {room} and {temp} degrees in the {room}.
The temperature in the {room} is {temp} degrees.
The {room} is at {temp} degrees.
The {room} has {temp} degrees.
In the {room} it is {temp} degrees.
It's {temp} degrees there.
It is {temp} degrees.
{temp} degrees.
It is {temp} degrees outside.
It is {temp} degrees outside, with {weather}.
Outside it is {temp} degrees.
Outside it is {temp} degrees with {weather}.
The weather is {weather}.
The weather outside is {weather}.
There is {weather} outside.
The humidity in the {room} is {pct} percent.
The humidity is {pct} percent.
The {room} has a humidity of {pct} percent.
It is {temp} degrees and {pct} percent humidity in the {room}.
The light in the {room} is {onoff}.
The {room} light is {onoff}.
The {room} light is now {onoff}.
The light in the {room} is now {onoff}.
I turned {onoff} the {room} light.
I have turned {onoff} the light in the {room}.
The lights are on in the {rooms}.
The lights are {onoff} in the {room} and the {room}.
The lights in the {rooms} are on.
Only the {room} light is on.
No lights are on.
No light is on.
All lights are {onoff}.
All lights are now {onoff}.
All the lights are off now.
{small} lights are on.
Yes, the {room} light is on.
No, the {room} light is off.
Yes, the light is {onoff}.
No, it is {onoff}.
Yes, it is {onoff}.
The {door} is {lockstate}.
The {door} is now {lockstate}.
Yes, the {door} is {lockstate}.
No, the {door} is {lockstate}.
No, the {door} is not locked.
I {lockverb}ed the {door}.
The {doors} are {lockstate}.
All doors are {lockstate}.
All doors are now locked.
Only the {door} is open.
No doors are open.
No door is unlocked.
The {device} is {onoff}.
The {device} is now {onoff}.
The {device} is already {onoff}.
Yes, the {device} is {onoff}.
No, the {device} is {onoff}.
The {devices} are {onoff}.
The {device} and the {device} are on.
Only the {device} is on.
No devices are on.
All devices are off.
All devices are now {onoff}.
I have started the {device}.
I switched {onoff} the {device}.
The timer is set for {dur}.
I set a timer for {dur}.
A timer for {dur} is running.
Timer set for {dur}.
The timer runs for {dur}.
Your timer of {dur} is set.
It is {time}.
The time is {time}.
It is now {time}.
It is {time} on {day}.
It's {time}.
Today is {day}.
It is {day}.
Today is {day}, {dom} {month} {year}.
It is {day}, {dom} {month} {year}.
It is {day} {dom} {month} {year}.
The date is {day} {dom} {month} {year}.
The warmest room is the {room}.
The warmest room is the {room} with {temp} degrees.
The coldest room is the {room} at {temp} degrees.
It is warmest in the {room}, at {temp} degrees.
It is coldest in the {room}.
The {room} is the warmest.
Yes, the {room} is warmer than the {room}.
No, the {room} is colder than the {room}.
Yes, it is warmer in the {room}.
No, it is colder in the {room}, at {temp} degrees.
Yes, it is {temp} degrees in the {room} and {temp} degrees outside.
The {room} is {temp} degrees warmer.
There is no {room} here.
There is no light in the {room}.
There is no temperature reading for the {room}.
There is no humidity reading for the {room}.
There is no {device} here.
There is no {door} here.
I don't know a {room}.
I can't know that.
I can't know that from here.
I can't tell you that.
I don't know that.
I do not know.
I'm sorry, I can't know that.
I can't see that.
I have no reading for the {room}.
I have no news here.
I work without the internet.
I can't do that.
I can only help with this home.
Sorry, I did not understand.
I'm well, thank you.
I am Nearfield, your voice assistant.
I'm Nearfield.
You're welcome.
Hello, how can I help?
Hello.
Good morning.
Good night.
Goodbye.
I can tell you about this home and switch things.
Done.
Okay.
The {room}, the {room} and the {room}.
The {door} and the {door} are {lockstate}.
The {room} is dark.
The house is locked.
Everything is off.
The average is {temp} degrees.
A person is standing in the {room}.
There is a {animal} in the {room}.
A {animal} and a {thing} are on the left.
A {adj} {thing} is on the right.
The sensor in the {room} rose from {temp} to {temp} degrees.
The humidity in the {room} fell to {pct} percent.
""",
    "filler": """
{who} {verb} {what}.
{who} {past} {what} {adv}.
{who} {past} {what} {where}.
{who} {verb} {who}.
{who} is {where}.
{who} is {adj} and {adj}.
{who} was {adj} {adv}.
{who} and {who} are {where}.
There is {what} {where}.
There was {who} {where}.
There are {n} {animal}s {where}.
I {past} {what} {where}.
I {past} {who} {adv}.
We {past} {what} {adv}.
They {past} {what} and {what}.
You {past} {what}, didn't you?
Did you {base} {what}?
Did {who} {base} {what}?
Can {who} {base} {what}?
Will you {base} {what} {adv}?
Don't {base} {what}.
Please {base} {what}.
Let us {base} {what} {adv}.
Why did {who} {base} {what}?
Where did you {base} {what}?
When will they {base} {what}?
Who {past} {what}?
What did {who} {base} {where}?
Whose {thing} is that?
Which {thing} do you like?
How much {abs} do we need?
How many {animal}s are {where}?
{abs} is {adj}.
{abs} and {abs} are {adj}.
I like {food} and {food}.
She likes {food} with {food}.
He {past} {food} {where}.
{person} {past} {what} {where}.
{person} and {person} {verb} {what}.
{person} said that {who} was {adj}.
{person} went to {city} in {month}.
If {who} {verb} {what}, we will go to the {place}.
When {who} came home, {who} was {adj}.
Although it was {adj}, {person} {past} {what}.
Because of {abs}, they left the {place}.
The {thing} under the {thing} is {adj}.
The {animal} jumped over the {adj} {thing}.
The color of the {thing} is {adj}.
This {thing} is more {adj} than that {thing}.
It takes {dur} to walk to the {place}.
The train leaves at {time}.
My {thing} cost {n} dollars.
She was born in {year}.
He lives {where} with {small} {animal}s.
I would like {what}, please.
I think {who} is {adj}.
We should {base} {what} {adv}.
You must not {base} {what}.
They have never seen {who}.
Nobody knows {what}.
Everybody {verb} {what}.
Something {adj} is {where}.
It was a {adj} and {adj} {abs}.
What a {adj} {thing}!
Look at that {adj} {animal}!
On {day} we {past} {what}.
In {year} there was {abs} {where}.
""",
}

# Only for training, whatever their hash: they make it wide, and leave what is held out as it was.
WIDER = {
    "question": """
Has the {room} cooled down [yet|since {time}|]?
Does the {room} feel [stuffy|chilly|damp|too warm] [to you|]?
Why is it so [cold|warm|hot|humid|dark] in the {room} [today|again|]?
Since when has the {device} been {onoff}?
Was the {device} running [when I left|this morning|before {time}]?
Were the lights {onoff} in the {room} [last night|when we left|]?
Could it be that the {door} is still {lockstate}?
Shouldn't the {door} be {lockstate} [by now|at this hour|]?
Isn't the {device} supposed to be {onoff}?
Aren't the lights in the {room} {onoff}?
Wasn't it warmer in the {room} [before|an hour ago]?
Doesn't the {room} have a {device}?
Didn't I already {lockverb} the {door}?
Haven't you switched off the {device} yet?
Hasn't anybody closed the {door}?
Who left the {door} open?
Who turned {onoff} the {device}?
Who is in the {room} [right now|]?
Whose turn is it to lock the {door}?
I wonder if the {device} is still running.
I wonder how warm it is in the {room}.
I'd like to know whether the {door} is {lockstate}.
I forgot if I turned off the {device}.
I can't remember whether I locked the {door}.
Tell me which rooms are [too cold|too warm|dark|bright].
Tell me if anything is [still on|open|running|unlocked].
Tell me whether the {device} is {onoff}.
Let me know how humid the {room} is.
Show me the temperature of every room.
Find out if the {door} is {lockstate}.
Check the {device} in the {room}[, please|].
Check whether we closed the {door}.
Anybody in the {room}?
Anything still running in the {room}?
Any news from the {door}?
Still {temp} degrees in the {room}?
Warmer than {set} degrees in the {room}?
Humidity in the {room}, please?
Would you say the {room} is [warm|cold|dry] enough?
Do we need to heat the {room} [tonight|tomorrow|]?
Does anyone know if the {door} was locked?
Do the lights in the {room} still work?
Does it look like rain [to you|outside|]?
Will the {device} be done by {time}?
When did the {device} start?
When will the timer ring?
How much time is left on the timer?
How much longer does the {device} need?
How often does the {device} run?
How dry is the air [upstairs|downstairs|inside|out there]?
At what temperature is the {room} [now|]?
By how many degrees is the {room} colder than the {room}?
In what room is the {device}?
On which floor is the {room}?
Between the {room} and the {room}, which one is warmer?
Apart from the {room}, where are the lights on?
Before I go to bed, is the {door} locked?
After all that rain, how humid is the {room}?
If I open the {door}, will the {room} get colder?
While I was away, did the {device} run?
So the {device} is {onoff}, right?
So how many degrees are there in the {room}?
Okay, and which doors are still {lockstate}?
Well, what about the {device} in the {room}?
By the way, is it past {time} already?
Hey, did we leave the {door} open?
Listen, is somebody in the {room}?
Excuse me, which of the doors is unlocked?
Nearfield, how bright is the {room}?
Today is {dom} {month}, isn't it?
What else is on [besides the {device}|]?
What made the {room} so warm?
What if the {device} stays on all night?
What has changed since {time}?
What's the coolest place in this house?
Which one of the windows isn't closed?
Where else is it above {set} degrees?
Where exactly is the {device}?
Are we below {set} degrees yet?
Are both the {room} and the {room} dark?
Am I right that the {door} is closed?
Have the lights been on since {time}?
Has it been {small} hours already?
Had I locked the {door} before {time}?
Can it be {temp} degrees in there?
Could you look up the humidity in the {room}?
May I ask how cold the {room} is?
Must the {device} stay on?
Should the {door} be open?
""",
    "command": """
Leave the {device} {onoff} [until {time}|for {dur}|tonight|].
Leave the light on in the {room}.
Keep the {door} {lockstate} [until {time}|while I'm away|].
Keep the {room} at {set} degrees.
Let the {device} run [for {dur}|until {time}].
Let some light into the {room}.
Bring the {room} up to {set} degrees.
Cool the {room} down to {set} degrees.
Warm up the {room} [before {time}|a little|].
Raise the temperature by {small} degrees.
Lower the temperature in the {room} by {small} degrees.
Increase the brightness in the {room} to {pct} percent.
Reduce the {room} lights to {pct} percent.
Brighten the {room}.
Don't forget to lock the {door}.
Don't leave the {device} on.
Don't turn the {device} {onoff} before {time}.
Don't let it get colder than {set} degrees.
Never leave the {door} open.
Let's lock the {door}.
Let's have some light in the {room}.
Let's turn everything off [and go to bed|now|].
Let's make it a bit [warmer|cooler|brighter|darker] in here.
I'd like the {room} [brighter|darker|warmer|cooler], please.
I'd love some light in the {room}.
I'd rather have the {device} {onoff}.
I won't need the {device} [today|anymore|].
I don't need the light in the {room}.
I can't see anything in the {room}.
I've finished in the {room}, turn off the light.
I'll be back in {dur}, leave the {device} on.
I'm cold, heat the {room}.
I'm going to the {room}, switch on the light.
I'm tired, turn the lights down.
We don't need the {device} any longer.
We won't be home before {time}, lock everything.
We're back, open the {door}.
We'd like more light in the {room}.
You can switch off the {device} now.
You may close the {door}.
You should lock the {door} at {time}.
You forgot the light in the {room}.
The {device} should be {onoff}.
The {device} can go off now.
The {room} needs more light.
The {room} is too [cold|warm|bright|dark|humid], do something.
The {door} has to be {lockstate}.
There's too much light in the {room}.
It's cold, turn on the {device}.
It's late, lock the {door}.
It's time to start the {device}.
Somebody should close the {door}.
Nobody needs the {device} now.
Everything off in the {room}.
Everything on, please.
No light in the {room}, please.
No more light in the {room}.
More light in the {room}.
Less light, please.
A bit [warmer|cooler|brighter|darker] in the {room}, please.
Another {small} minutes, please.
Only the {room} light, please.
Now the {room} light.
Now the other lights, too.
Now turn off the {device}.
Then turn {onoff} the {device}.
First lock the {door}, then turn off the {device}.
After {dur}, turn off the {device}.
At {time}, switch the {device} {onoff}.
At {time}, wake me up.
In {dur}, turn {onoff} the {room} light.
On {day} at {time}, start the {device}.
From {time} on, keep the {room} dark.
Until {time}, leave the {door} {lockstate}.
Before you lock the {door}, turn on the {device}.
When I leave, turn off the {device}.
When it gets dark, switch on the lights in the {room}.
If the {door} is open, close it.
If it's below {set} degrees, heat the {room}.
If nobody is in the {room}, turn off the light.
As soon as it's {time}, open the {door}.
Unless it's raining, open the {door}.
Hurry, close the {door}.
Quick, turn off the {device}.
Wait {dur}, then start the {device}.
Hold on, leave the {device} on.
No, not the {room}, the {room}.
No, I said the {device}.
Not that one, the {device}.
Same for the {room}.
Do it again in the {room}.
Do the same in the {room}.
Add {small} minutes to the timer.
Take {small} minutes off the timer.
Pause the timer.
Restart the timer [with {dur}|].
Forget the timer.
Time {chore} for {dur}.
Ring [a bell|] in {dur}.
Alarm at {time}, please.
Change the alarm to {time}.
Delete the alarm for {day}.
Wake us on {day} at {time}.
Get me up by {time}.
Remember to turn off the {device} at {time}.
Remind us about {chore} in {dur}.
Check on {chore} in {dur}.
Watch the {door} for me.
Show me the {door}.
Guard the house.
Secure the {door}.
Bolt the {door}.
Push the {door} shut.
Give us some light in the {room}.
Use the {device} in the {room}.
Activate the {device}.
Deactivate the {device}.
Plug in the {device}.
Try the {device} once more.
Reset the {device}.
Flip the switch in the {room}.
Toggle the {room} light.
Darken the {room}.
Would it be possible to {lockverb} the {door}?
Will you turn {onoff} the {device}, please?
Why don't you turn off the {device}?
How about some light in the {room}?
May I have the lights on in the {room}?
Can we have it warmer in the {room}?
Can somebody close the {door}?
Could we make it {set} degrees in here?
Be so kind and close the {door}.
""",
    "social": """
Is anybody there?
Anyone home?
Nice to meet you[, {person}|].
It's nice to see you[, {person}|].
Long time no see.
Have a nice [day|evening|weekend|trip].
Have fun.
Take care.
Take your time.
Don't worry.
Don't be silly.
Don't mention it.
Let's talk [later|about {abs}|].
Let's begin.
I'm fine, and you?
I'm sorry about that.
I'm back.
I'm off to work.
I'm so [happy|sad|tired|hungry|bored] today.
I'm [happy|afraid|sure] you'll understand.
I've had a long day.
I've got a question.
I'll be right back.
I'll see you on {day}.
I'd like to talk.
I'd love a {food} cake.
I hope you're well.
I hate {day}s.
I believe you.
I changed my mind.
I didn't mean that.
I haven't slept well.
You'll like it.
You've been a great help.
You're right about that.
You aren't listening.
You don't understand.
You can't be serious.
They're all asleep.
We're having guests [tonight|on {day}|].
We've missed you.
He's my brother.
She's my [sister|mother|friend|boss].
That's nice of you.
That's not what I meant.
That sounds good.
That was a joke.
It doesn't matter.
It wasn't me.
What a day.
What a pity.
What's wrong?
What's new with you?
What should I cook with {food}?
What's your favorite {thing}?
Which color do you like?
Where were you made?
When were you born?
How clever are you?
How does it feel to be a machine?
How come?
Who taught you English?
Would you like some {food}?
Will you be my friend?
Won't you say something?
Have you ever been to {city}?
Could you speak up?
May I ask you something?
Shall we begin?
Of course.
Of course not.
Maybe later.
Not now.
Not yet, thanks.
No problem.
No idea.
Nothing, thank you.
Sure, why not?
Sounds good to me.
Wonderful.
Excellent.
Exactly.
Cheers.
Welcome home[, {person}|].
Happy birthday[, {person}|].
Merry Christmas.
Sleep tight.
See you on {day}.
Talk to you soon.
Goodbye, {person}.
Hi, it's {person}.
Hey, {person} and {person} are here.
Hello again.
Hello, {person}.
Morning, {person}.
""",
    "decline": """
Has anyone seen my {thing}?
Has {person} been [here|at the {place}] today?
Have they found the {animal} [yet|]?
Have you heard from {person}?
Haven't we met in {city}?
Had you ever heard of {person}?
Does {person} live in {city}?
Does the {place} close before {time}?
Does this {thing} fit into the {thing}?
Doesn't {person} work at the {place}?
Do trains stop in {city}?
Do {plural} eat {food}?
Do I need a ticket for the {place}?
Don't we have a meeting on {day}?
Don't you know any songs?
Did they play {sport} in {year}?
Did my parcel arrive?
Didn't {person} write to me?
Was {person} born in {year}?
Was there an accident in {city}?
Wasn't {person} the captain of the team?
Were there any calls?
Are there {plural} in {city}?
Are the {plural} at the {place} {adj}?
Aren't {plural} dangerous?
Is it far to the {place}?
Is there a {place} in {city}?
Isn't {person} on holiday?
Am I invited to the party on {day}?
Could {person} visit us on {day}?
Could you call the {job}?
Could you send {person} a letter?
Couldn't the {job} come {when}?
Can {plural} swim?
Can I fly to {city} {when}?
Can't you order some {food}?
Will {person} come to the party?
Will the {place} be closed on {day}?
Won't the shops be closed?
Would a {animal} eat {food}?
Should I buy {food} or {food}?
Should we invite {person}?
Shall I call the {job}?
May I borrow {what}?
Might it snow in {month}?
Must I pay for the {thing}?
Who called {when}?
Who discovered {city}?
Who invented the {thing}?
Who lives in that {place}?
Who plays in the {sport} final?
Who's the mayor of {city}?
Who's coming to dinner?
Whom should I ask about {abs}?
Whose {animal} is barking?
Whose birthday is on {month} {dom}?
Why is the sky blue?
Why is the {place} closed?
Why are {plural} so {adj}?
Why do {plural} sleep {when}?
Why does {person} hate {food}?
Why don't {plural} like {food}?
Why doesn't the {job} answer?
Why hasn't {person} called?
Why isn't the {place} open?
Why was the {sport} game canceled?
Why won't you play music?
When was {person} born?
When was the {place} built?
When is Easter in {year}?
When are the holidays?
When do the {plural} come back?
When did {person} move to {city}?
When will the {job} be here?
When should I plant {food}?
When can I see the {job}?
Where can I buy {food}?
Where are the {plural}?
Where do {plural} live?
Where does {food} come from?
Where has {person} gone?
Where's the nearest {place}?
Where was {person} born?
What are {plural} afraid of?
What does {abs} mean?
What does the {job} say?
What do {plural} eat?
What did they decide in {city}?
What kind of {food} is that?
What was on the {thing}?
What will {person} do {when}?
What would {person} say?
What would you buy with {n} dollars?
What colors does the flag of {city} have?
What's {n} divided by {small}?
What's {n} minus {n}?
What's {n} percent of {n}?
What's the fastest way to the {place}?
What's the biggest {animal} in the world?
What's the phone number of the {place}?
What's for dinner?
What's {person} doing {when}?
Which team is better?
Which bus goes to the {place}?
Which {animal} is the {most}?
Which {plural} are {more} than {plural}?
How big is a {animal}?
How many {plural} fit into a {thing}?
How many {plural} does {person} have?
How many people came to the {place}?
How much {food} should I eat?
How much did the {thing} cost in {year}?
How deep is the {place}?
How fast can a {animal} run?
How high is the mountain?
How long does it take to {base} {plural}?
How do {plural} find {food}?
How does a {thing} work?
How did the {sport} game end?
How can I get rid of {plural}?
How should I clean a {thing}?
How heavy is the {adj} {thing}?
How often should I water the flowers?
To which {place} did {person} go?
From where does the bus to {city} leave?
With whom did {person} dance?
In which year was the {place} built?
At what time does the {place} close?
On what day is {month} {dom}?
Ask {person} about {what}.
Answer the phone.
Bring me {what}.
Buy {small} {plural} at the {place}.
Cancel my flight to {city}.
Change my password.
Charge my phone.
Cook some {food} for {person}.
Draw a {animal} with a {thing}.
Find me a {adj} {place} in {city}.
Find the nearest {place}.
Feed the {animal}.
Fetch the newspaper.
Get me a taxi to the {place}.
Invite {person} and {person} for {day}.
Let {person} know that I'm late.
Look up {abs} in the dictionary.
Make me a cup of {food}.
Move my appointment to {day} at {time}.
Note that {person} likes {food}.
Open the newspaper from {day}.
Pay the {job} {n} dollars.
Pick up {person} from the {place} at {time}.
Print the letter to {person}.
Remind {person} of the party.
Remove {food} from my list.
Search for {adj} {plural}.
Show me pictures of {plural}.
Spell the word {thing}.
Tell {person} that dinner is ready.
Tell me who wrote about {abs}.
Throw away the {adj} {plural}.
Walk the {animal} {when}.
Water the {plural} in the garden.
Write down that I need {food}.
I need a doctor.
I need {n} dollars for the {thing}.
I want to go to {city}.
I want to watch {sport}.
I'd like to hear a song about {abs}.
I'd like to book a flight to {city}.
I've lost my {thing}.
I've forgotten {person}'s number.
I'm looking for {what}.
I'm meeting {person} at {time}.
I can't find {what}.
I don't know where {person} is.
I wonder who made this {thing}.
Let's order {food} and {food}.
Let's play {sport}.
My {thing} is broken, what now?
There's a spider on the wall, help.
It's {person}'s birthday on {day}, what should I buy?
""",
    "reply": """
The {device} has been {onoff} since {time}.
The {device} is off, but the {device} is on.
The {device} will stop in {dur}.
The {device} stopped at {time}.
The {device} isn't on.
The {device} isn't in the {room}.
The {door} isn't {lockstate}.
The {door} was opened at {time}.
The {door} has been {lockstate} since {time}.
The {door} and the {door} aren't locked.
The lights aren't on in the {room}.
The light in the {room} went {onoff} at {time}.
The {room} isn't as warm as the {room}.
The {room} and the {room} are both dark.
The {room} feels {adj} at {temp} degrees.
The {room} light has been on for {dur}.
The sun is shining, and it's {temp} degrees.
The timer has {dur} left.
The timer rings at {time}.
The alarm is set for {time} [tomorrow|on {day}].
The next alarm is at {time}.
The house is quiet.
There are {small} rooms below {set} degrees.
There are lights on in the {room} and the {room}.
There are no open windows.
There aren't any doors open.
There isn't any light on.
There isn't a timer running.
There's a light on in the {room}.
There was movement in the {room} at {time}.
There were {small} people in the {room}.
They're all closed.
They're {onoff}.
These doors are {lockstate}: the {door} and the {door}.
Those lights are already {onoff}.
Both doors are {lockstate}.
Both lights are {onoff}.
Neither the {device} nor the {device} is on.
Nothing is running.
Nothing is open.
Nobody is in the {room}.
None of the doors are {lockstate}.
Somebody is in the {room}.
Someone opened the {door} at {time}.
Most lights are off.
Almost everything is off, except the {device}.
Everything but the {device} is off.
Everything is fine.
Every door is {lockstate}.
Each light is at {pct} percent.
It isn't raining[, just {weather}|].
It isn't {onoff}.
It's {pct} percent in the {room}.
It's a bit [colder|warmer] in the {room}, {temp} degrees.
It's already {lockstate}.
It's dark in all rooms except the {room}.
It's been {onoff} for {dur}.
It was {temp} degrees at {time}.
It has {temp} degrees and {weather} out there.
It's {day}, {month} {dom}.
It will ring in {dur}.
It won't rain inside.
I'll turn it {onoff} [at {time}|in {dur}|].
I'll wake you at {time}.
I'll remind you in {dur}.
I'll keep the {door} {lockstate}.
I've locked the {door} for you.
I've turned {onoff} the {device} and the {device}.
I've dimmed the {room} light to {pct} percent.
I've set the {room} to {set} degrees.
I haven't got a {device} in the {room}.
I couldn't reach the {device}.
I couldn't open the {door}.
I didn't find a {thing} in the picture.
I only see a {adj} {thing}.
I think somebody is at the {door}.
I see {small} {plural} in the picture.
I hear you.
I'm not able to book a table.
I'm afraid the {device} doesn't answer.
I'm turning {onoff} the lights in the {room}.
I'm sorry, there's no {device} in the {room}.
We have {small} devices running.
You have {small} timers, the next one in {dur}.
You left the {device} on.
You're still at {temp} degrees in the {room}.
You can ask about the {room} or the {device}.
You can't lock the {door}, because it's open.
Yes, since {time}.
Yes, but the {door} is {lockstate}.
Yes, they're all {lockstate}.
Yes, I locked it.
Yes, it's {weather} outside.
No, only the {device} is on.
No, nobody opened the {door}.
No, it isn't.
No, they aren't.
No, there's just {weather}.
Not yet, it's only {time}.
Not all of them: the {door} is still open.
Sure, the {device} is {onoff} now.
Sure, {dur}.
Of course, the {door} is {lockstate} now.
Okay, {room} light {onoff}.
Okay, I'm locking the {door}.
Sorry, which room do you mean?
Sorry, the {device} can't be switched.
Do you mean the {device} or the {device}?
Which {thing} do you mean?
Should I lock the {door} as well?
Shall I turn off the {device} too?
Would you like me to {lockverb} the {door}?
From {time} to {time} it was {temp} degrees.
At {time} the {door} was {lockstate}.
At the moment the {device} is {onoff}.
In {dur}, at {time}.
Since {day} the {room} has been colder.
Compared with the {room}, it's {temp} degrees colder.
Besides the {device}, the {device} is on.
Because the {door} is open, the {room} is cold.
Right now it's {time}.
Outside there's {weather}, and inside it's {temp} degrees.
Upstairs it's {temp} degrees, downstairs {temp}.
Humidity rose to {pct} percent in the {room}.
{small} {plural} and a {animal} are next to a {thing}.
A {job} with a {thing} is at the {door}.
Some {plural} are on the {thing}.
Several {plural} stand near a {adj} {thing}.
On the left there's a {thing}, on the right a {animal}.
In the picture a {animal} is [sleeping|sitting|standing|eating] beside a {thing}.
""",
    "filler": """
I'm {ing} {whereto}.
I'm not as {adj} as {person}.
I'm afraid of {plural}.
I'm glad that {person} {past} {what}.
I'll {base} {what} {when}.
I'll never {base} {plural} again.
I'd rather {base} {plural} than {base} {plural}.
I'd {base} {what} if I had {abs}.
I've [already|never|just|often] seen {what} {whereto}.
I haven't got any {plural}.
I hadn't thought about {abs}.
I can't {base} {what} without {what}.
I couldn't {base} {what} {when}.
I don't {base} {plural} {when}.
I didn't {base} {what}, I {past} it.
I wasn't {ing} when {who} came.
I wouldn't {base} that if I were you.
I shouldn't have told {person} about {abs}.
I know a {job} who {verb} {plural}.
I heard {who} {ing}.
I used to live {whereto}.
I have to {base} {n} {plural} {when}.
I was {ing} while {person} was {ing}.
He's {ing} [with|without] {person}.
He's the {most} {job} in {city}.
He's {more} than his brother.
He isn't {adj}, he's {adj}.
He doesn't {base} {what}.
He didn't {base} {plural}, but he {past} {what}.
He won't {base} {what} before {day}.
He'd never been {whereto}.
He'll be {n} years old in {month}.
He hasn't {done} the {thing} yet.
He can {base} {small} {plural} at once.
He wants to {base} {what}.
He ran {whereto} because of the {animal}.
His {thing} is {more} than hers.
His father is a {job}, and his mother is a {job}.
Her {plural} are {adj}.
Her uncle {verb} {plural}.
She's {ing} {when}.
She's got {small} {plural} and a {adj} {animal}.
She isn't at the {place} [anymore|yet|today].
She doesn't want to {base} {plural}.
She won't {base} the {adj} ones.
She'll {base} {what} as soon as {person} comes.
She'd like to be a {job}.
She hasn't been {whereto} since {year}.
She has {done} all the {plural}.
She could {base} {what}, couldn't she?
She asked whether {who} was {adj}.
She told us to {base} {what}.
She put {what} on the {thing}.
They're {ing} {whereto}.
They're {more} than {plural}.
They aren't our {plural}.
They weren't {ing}, were they?
They don't {base} {what} {when}.
They didn't know that {who} was {whereto}.
They won't let us {base} {what}.
They'll meet {person} {whereto}.
They'd {done} {what} before {time}.
They've been {ing} for {dur}.
They had {n} {plural} and {n} {plural}.
They were {adj} but {adj}.
They want {plural}, not {plural}.
Their {animal} is {more} than ours.
Their {plural} were {whereto}.
Their house has {n} windows.
We're {ing} {when}.
We're not going {whereto}.
We aren't {adj} enough to {base} {what}.
We don't {base} {plural} {whereto}.
We didn't see any {plural}.
We won't {base} {what} until {day}.
We'll {base} {what} tomorrow, won't we?
We'd better {base} {what}.
We've [already|never|always] {done} {what}.
We were {ing} when the {thing} fell.
We could {base} {plural} {whereto}.
We can't all be {adj}.
We need {n} {plural} by {day}.
We met {who} {whereto} at {time}.
We had {food} for breakfast and {food} for dinner.
Our {plural} are {more} than {plural}.
Our {job} doesn't {base} {plural}.
You're {more} than I thought.
You aren't allowed to {base} {what}.
You don't have to {base} {what}.
You won't find {what} {whereto}.
You'll need {small} {plural} and some {food}.
You'd be {adj}, too.
You've got {n} {plural} left.
You can {base} {what} if you {base} {what}.
You can't {base} {what} with a {thing}.
You shouldn't {base} {plural} {when}.
You were {ing}, weren't you?
You look {adj} {when}.
You should see the {most} {thing} in {city}.
Your {plural} are {whereto}.
Your {animal} has eaten my {food}.
My {job} has {small} {plural}.
My {plural} weren't {adj} at all.
My brother and I {past} {what}.
It isn't {adj} {whereto}.
It's {ing} that makes {person} happy.
It's {more} {whereto}.
It's not my {thing}, it's {person}'s.
It's been {n} days since {person} {past} {what}.
It's the {most} {thing} I've ever seen.
It's too {adj} to {base}.
It doesn't {base} anything.
It wasn't {person} who {past} {what}.
It won't be {more} {when}.
It would be {adj} to {base} {what}.
It rained all {day}.
It happened on {month} {dom}, {year}.
Its {plural} are {adj} and {adj}.
There's a {thing} {whereto}.
There's nothing {more} than {abs}.
There isn't any {food} in the {thing}.
There aren't enough {plural} for everyone.
There weren't any {plural} in {year}.
There were too many {plural} {whereto}.
There must be a {adj} {thing} {whereto}.
There used to be a {place} {whereto}.
There goes my {thing}.
There you are, {person}.
Here comes {who}.
Here are your {plural}.
Here's {what} for {person}.
These {plural} are {more} than those.
These {plural} belong to {person}.
Those {plural} weren't {adj}.
Those are the {most} {plural} of all.
This is {what}.
This isn't my {thing}.
This {animal} {verb} {plural}.
That {job} has a {adj} {thing}.
That's the {job} who {past} {what}.
That's why {person} {past} {what}.
That wasn't {what}, it was {what}.
That can't be {adj}.
Let's {base} {what} {when}.
Let's not {base} the {plural}.
Let's go {whereto} with {person}.
Let me {base} {what}.
Let him {base} {what} if he wants to.
Don't go {whereto}.
Don't be so {adj}.
Don't you {base} {plural}?
Don't they have {plural}?
Don't tell {person} about {what}.
Don't run, the floor is wet.
Doesn't she {base} {plural}?
Doesn't {who} look {adj}?
Didn't you {base} {person} {when}?
Didn't {person} {base} {what}?
Do {plural} {base} {plural}?
Do you ever {base} {plural}?
Do they know that {person} {verb} {what}?
Does {person} {base} {what} {when}?
Does anybody {base} {plural}?
Does your {job} {base} {what}?
Did anybody {base} {what} {whereto}?
Did it {base} the {plural}?
Is {who} {ing}?
Is that a {thing} or a {thing}?
Is there any {food} in your {thing}?
Is your {thing} {more} than mine?
Is she the {job} you met {when}?
Isn't it {adj} {whereto}?
Isn't that the {most} {animal}?
Are {plural} {more} than {plural}?
Are you {ing} {when}?
Are they {ing} or {ing}?
Are those your {plural}?
Aren't they {adj}?
Was it {adj} {whereto}?
Was {person} {ing}?
Were you {whereto} {when}?
Were the {plural} {adj}?
Has {person} {done} {what}?
Has it got {plural}?
Have you [ever|already|never] {done} {what}?
Have the {plural} been {adj}?
Haven't they {done} the {thing}?
Had {person} {done} {what} before {time}?
Can you {base} {small} {plural}?
Can a {animal} {base} a {thing}?
Can't we {base} {what} {when}?
Could they {base} {plural}?
Couldn't {person} {base} {what}?
Would {who} {base} {plural}?
Would you rather {base} {what} or {base} {what}?
Wouldn't it be {more} to {base} {what}?
Will {plural} ever be {more}?
Will there be {food} and {food}?
Won't she be {adj}?
Should {person} {base} {what}?
Should we {base} the {plural} {when}?
Shall we {base} {what} {when}?
May I {base} your {thing}?
Must we {base} all these {plural}?
Who {verb} {plural}?
Who is {ing} {whereto}?
Who are those {plural}?
Who wants some {food}?
Who'd {base} a {adj} {thing}?
Who isn't {adj} {when}?
Who will {base} the {plural}?
Whose {plural} are these?
Why are you {ing}?
Why do {plural} {base} {plural}?
Why does {who} {base} {what}?
Why doesn't {person} {base} {plural}?
Why didn't they {base} {what}?
Why is {who} {adj}?
Why can't I {base} {plural}?
Why not {base} {what}?
When do you {base} {what}?
When does {who} {base} {plural}?
When did {who} {base} {what}?
When is {person} {ing}?
When I was {small}, I {past} {plural}.
When you {base} {what}, {base} {what}.
When {person} {past} {what}, it was {time}.
Where is {who} {ing}?
Where are {person}'s {plural}?
Where do {plural} {base} {food}?
Where does {person} {base} {plural}?
Where there is {abs}, there is {abs}.
What are you {ing} for?
What is {more} than a {thing}?
What is the {job} {ing}?
What do {plural} {base}?
What does she {base} {when}?
What will {person} {base} next?
What could be {more}?
What {adj} {plural} you have!
What happened to {who}?
What I {base} is {what}.
Which {job} {past} {what}?
Which of the {plural} is {adj}?
Which way is {whereto}?
How {adj} is {what}?
How {adj} you are!
How many {plural} did {person} {base}?
How many {plural} have you got?
How does {who} {base} {what}?
How can {plural} be so {adj}?
How could they {base} {what}?
How about {ing} {when}?
If I were {adj}, I'd {base} {what}.
If you {base} {what}, you'll be {adj}.
If it isn't {adj}, {base} it.
If they don't {base} {what}, who will?
Because {person} {past} {what}, we were {adj}.
Before {person} {past} {what}, she was {ing}.
Before {time}, nobody {past} {plural}.
After {ing}, {person} {past} {what}.
After the {sport} game, they were {adj}.
While {who} was {ing}, {who} {past} {what}.
While we're {ing}, you can {base} {what}.
Until {year}, {plural} were {adj}.
Unless {person} {verb} {what}, we'll be late.
Since {day}, {person} has been {ing}.
Though he's {adj}, he {verb} {plural}.
As {adj} as a {animal}.
As soon as it's {adj}, we'll {base} {what}.
At {time}, {person} {past} {what}.
At the {place} you can {base} {plural}.
By {time} the {plural} were {adj}.
During the {sport} game, {who} {past} {what}.
For {n} dollars you get {small} {plural}.
For breakfast {person} had {food} with {food}.
From {city} to {city} it takes {dur}.
From the {thing} came a {adj} {animal}.
In {month} the {plural} are {more}.
In the {place} there were {n} {plural}.
Instead of {ing}, they {past} {what}.
Into the {thing} went {what}.
Near {city} we saw {n} {plural}.
Of all {plural}, mine are the {most}.
On the {thing} lay {what} and {what}.
On {month} {dom}, {person} went {whereto}.
Out of {n} {plural}, {small} were {adj}.
Over the {place} flew {n} {plural}.
Through the {place} ran a {adj} {animal}.
To {base} or not to {base}?
To be {adj}, you must {base} {what}.
Under the {thing} sat a {adj} {animal}.
With {abs} and {abs} you can {base} {what}.
With a {thing} you can't {base} {plural}.
Without {food} there is no {food}.
Without you, {who} would be {adj}.
All {plural} are {adj}.
All of us {past} {what}.
Another {thing} was {whereto}.
Any {job} can {base} a {thing}.
Anyone who {verb} {plural} is {adj}.
Both {plural} and {plural} are {adj}.
Each {job} {past} {small} {plural}.
Either {person} or {person} {past} {what}.
Every {day}, {who} {verb} {what}.
Everything {whereto} is {adj}.
Few {plural} are as {adj} as {plural}.
Many {plural} don't {base} {food}.
Many people are {ing} {when}.
More {plural} came {whereto}.
Most {plural} are {more} than a {thing}.
Much of the {food} was {adj}.
Neither {person} nor {person} {verb} {plural}.
No {animal} is {more} than a {animal}.
No one {past} {what}.
None of the {plural} were {adj}.
Nothing is as {adj} as {what}.
One of the {plural} was {ing}.
Only {person} {past} {what}.
Other {plural} are {more}.
Several {plural} were {whereto}.
Some {plural} {base} {food}.
Some of her {plural} are {adj}.
Somebody has {done} my {thing}.
Someone was {ing} {whereto}.
Such {plural} are {adj}.
{small} {plural} and {small} {plural} were {ing}.
The {plural} are {ing} {whereto}.
The {plural} weren't {more} than the {plural}.
The {plural} don't {base} {what}.
The {plural} that {person} {past} were {adj}.
The {more} of the two is {what}.
The {most} {animal} {verb} {what}.
The {job} who lives {whereto} {verb} {plural}.
The {job} doesn't {base} {what}, does he?
The {job}'s {thing} isn't {adj}.
The {place} is {more} than the {place}.
The {place} was built in {year}.
The {thing} fell [into|onto|behind|off] the {thing}.
The {thing} I {past} is {adj}.
The {adj} ones are {person}'s.
The price of the {thing} went from {n} to {n} dollars.
The sun rose at {time}, and the {plural} were {ing}.
A {animal} can't {base} {what}.
A {job} and a {job} went {whereto}.
A {thing} without a {thing} isn't {adj}.
No {abs} is a {thing}.
And then {who} {past} {what}.
And if {person} doesn't come?
But {plural} don't {base} {what}.
But why are the {plural} {adj}?
Or would you {base} the {plural}?
So {person} {past} {what}, and {person} {past} {what}.
So many {plural}!
Then they {past} {what} {when}.
Yet nobody {past} {plural}.
Maybe {who} {verb} {plural}.
Perhaps {person} will {base} {what}.
Probably the {plural} are {whereto}.
Just {base} {what}, will you?
Just look at those {plural}.
Never {base} {plural} {when}.
Not every {thing} is {adj}.
Not only {person}, but also {person} {past} {what}.
Now {who} is {ing}.
Once there was a {adj} {job} who {past} {plural}.
Soon the {plural} will be {more}.
Suddenly {who} {past} {what}.
Today's {abs} isn't {more} than yesterday's.
Tomorrow {person} will be {ing}.
Yesterday {who} {past} {n} {plural}.
Last {month}, {person} {past} {what}.
Next {day} we'll be {whereto}.
{when} {person} {past} {plural}.
{whereto} {who} {past} {what}.
{ing} is {more} than {ing}.
{ing} {when} makes {person} {adj}.
{plural} are {more} than {plural}.
{plural} {base} {plural}, don't they?
{plural} and {plural} can't be {adj}.
{plural} weren't {ing} {whereto}.
{small} {plural} are {more} than {small} {plural}.
{n} {plural} {past} {what}.
{n} people live {whereto}.
{person}'s {plural} are {whereto}.
{person}'s {animal} isn't {adj}.
{person} doesn't {base} {plural}.
{person} isn't {ing}, is she?
{person} has {n} {plural}, {person} only {small}.
{person} can't {base} {what} {when}.
{person} would {base} {what}, but it's {adj}.
{person}, {person} and I were {ing}.
{who} can't {base} {plural}.
{who} has {done} {what}.
{who} isn't {more} than {who}.
{who} wants to {base} {plural}.
{who} will be {adj} {when}.
{who} didn't {base} {what}, did he?
{who} was {ing} {whereto} when {who} {past} {what}.
Try to {base} {what} {when}.
Try {ing} {whereto}.
Stop {ing}.
Start {ing} at {time}.
Keep {ing}, {person}.
Go and {base} {what}.
Come and {base} the {plural}.
Come {whereto} at {time}.
Give {person} {what}.
Give me back my {plural}.
Take {what} {whereto}.
Bring {small} {plural} to {person}.
Put the {plural} into the {thing}.
Get out of the {thing}, {person}.
Look, {plural}!
Listen to the {plural}.
Ask {who} to {base} {what}.
Tell {who} that {plural} are {adj}.
Make sure that {person} {verb} {what}.
Remember {ing} {whereto}?
Help {person} {base} {what}.
Watch {who} {base} {what}.
Wait until {who} {verb} {what}.
Turn left at the {place}, then go {whereto}.
Stay {whereto} until {time}.
Be {adj} or be {adj}.
Thank {person} for the {plural}.
Buy {n} {plural} for {n} dollars.
Eat your {food}, {person}.
Well, {plural} aren't {adj}.
Oh, {who} {past} {what}.
Yes, {person} {verb} {plural}.
No, they don't {base} {plural}.
""",
}


def templates(split):
    """split: "train" or "heldout"; returns {kind: [template]}. The choice depends on the template's own
    words: its hash says whether it may be held out, and it is only if training has all its words."""
    lines = [(kind, t) for kind, block in TEMPLATES.items() for t in block.strip().split("\n") if t]
    chosen = {kt for kt in lines if zlib.crc32(":".join(kt).encode()) % 5 == 0}
    vocabulary = lambda t: set(re.findall(r"[a-z']+", re.sub(r"\{\w+\}", "", t.lower())))
    while True:
        known = set().union(*(vocabulary(t) for k, t in lines if (k, t) not in chosen))
        keep = {(k, t) for k, t in chosen if vocabulary(t) <= known}
        if keep == chosen:
            break
        chosen = keep
    wider = WIDER if split == "train" else {}
    return {kind: [t for k, t in lines if k == kind and ((k, t) in chosen) == (split == "heldout")] + wider.get(kind, "").strip().splitlines()
            for kind in TEMPLATES}


# what a template's slot can hold, as a pattern; slots that are not here can hold anything
NUMBER = r"-?\d+(?:[.:]\d+)?"
NOUN_PHRASE = r"(?:the|a|an|my|your|his|her|our|their|this|that|every|another)(?: \w+){1,3}"
HOLDS = {slot: "(?:" + "|".join(sorted(map(str.lower, words), key=len, reverse=True)) + ")" for slot, words in {
    "room": ROOMS, "door": DOORS, "device": DEVICES, "person": PEOPLE, "city": CITIES, "weather": WEATHERS, "day": DAYS, "month": MONTHS,
    "chore": CHORES, "food": FOODS, "sport": SPORTS, "onoff": ["on", "off"], "lockstate": ["locked", "unlocked", "open", "closed"],
    "lockverb": ["lock", "unlock", "open", "close"], "thing": THINGS, "animal": ANIMALS, "place": PLACES, "adj": ADJECTIVES, "verb": VERBS,
    "past": PASTS, "base": BASES, "adv": ADVERBS, "abs": ABSTRACTS, "job": PERSONS, "plural": PLURALS, "ing": DOINGS, "more": COMPARATIVES,
    "most": SUPERLATIVES, "done": PARTICIPLES}.items()} | dict.fromkeys(["time", "temp", "set", "pct", "n", "small", "dom", "year"], NUMBER) | {
    "who": NOUN_PHRASE, "what": NOUN_PHRASE, "where": r"(?:in|near|behind|at|from) the \w+(?: office)?",
    "dur": rf"{NUMBER} (?:minute|second|hour)s?(?: (?:and )?{NUMBER} (?:minute|second)s?)?"}


def bare(s):
    return re.sub(r"[.,?!:]+(?= |$)", "", s.lower())


def heldout_pattern():
    """Matches the sentences, bare of capitals and punctuation, that fit any held-out template."""
    def choices(t):
        m = re.search(r"\[([^\[\]]*)\]", t)
        return [t] if not m else [u for c in m[1].split("|") for u in choices(t[:m.start()] + c + t[m.end():])]
    forms = {bare(re.sub(" +", " ", u)).strip() for ts in templates("heldout").values() for t in ts for u in choices(t)}
    slot = lambda part: HOLDS.get(part[1:-1], r"[\w' ]+") if part[0] == "{" else re.escape(part)
    return re.compile("|".join("".join(slot(p) for p in re.split(r"(\{\w+\})", f) if p) for f in sorted(forms)))


# ---------------------------------------------------------------- mixed sentences
# Words whose sound is that of another: in a string of any words nobody could tell them apart.
ALIKE = set("""see sea buy by bye know no new knew week weak flower flour pear pair hour our write right hear here one two four eight
to too won would wood knight night through threw blew blue past passed hole whole plane plain road rode meet meat which witch read red
son sun tail tale weather whether break brake deer dear hi high not knot wear where your you're its it's there their they're who's whose
some sum in inn be bee ate for male mail sail sale hall haul gate wait weight made maid pause paws piece peace rain reign
root route steal steel stair stare brought board bored berry bury cent sent scent die dye fair fare find fined great grate
heel heal him hymn i eye king's lead led hole mist missed none nun oh owe or oar peak pier peer poor pour prince prints
roll role sauce source sew so soul sole stationary storey story theirs there's thrown throne toe tow waist waste way weigh
we'll wheel wore war world whirled bear bare horse hoarse mussel muscle aunt ant daze days dessert desert
we've weave he'll heard herd tea tee thyme time wine whine jean gene cue queue chews choose""".split())
FUNCTION = """the the the the the the a a a a and and and of of of in in in at at on on with with from from is is is are are was was were
it it he he she she they they we we you you I I this that these those my my his her who what when why how do do does did don't don't
doesn't didn't can can't will won't could would should have has had isn't aren't wasn't but if as than then because before after
under over about into between without up down out off only also never always every some any all many more most let's I'm he's she's we're
they'll we'll you'd I've that's what's please just very or not for to your""".split()
PROPER = {w for w in " ".join(PEOPLE + CITIES + DAYS + MONTHS).split()} | set("I I'm I'll I'd I've English German French France Nearfield Easter Christmas".split())


def words_of_training():
    """Every word of the training templates and of the slots, alone; small letters but in names."""
    held = [w for ts in templates("train").values() for t in ts for w in re.findall(r"[A-Za-z']+", re.sub(r"\{\w+\}", " ", t))]
    lists = (ROOMS, DOORS, DEVICES, PEOPLE, CITIES, WEATHERS, DAYS, MONTHS, CHORES, FOODS, SPORTS, ANIMALS, PERSONS, THINGS, PLACES, ADJECTIVES,
             VERBS, PASTS, BASES, ADVERBS, ABSTRACTS, PLURALS, DOINGS, COMPARATIVES, SUPERLATIVES, PARTICIPLES)
    words = held + " ".join(w for items in lists for w in items).split()
    return sorted({w if w in PROPER else w.lower() for w in words if len(w) > 1 and w.lower() not in ALIKE})


def sentence_of(words, mark):
    s = " ".join(words).strip(" .,?!:")
    return s[0].upper() + s[1:] + mark


def any_words(r, vocabulary):
    """A string of 3 to 9 words in any order, every other one a function word."""
    n, words = r.randint(3, 9), []
    while len(words) < n:
        k = r.random()
        after_number = bool(words) and words[-1][-1].isdigit()
        if k < 0.5 and not after_number:
            w = r.choice(FUNCTION)
        elif k < 0.53 and not after_number:  # "their" and "there" can be told apart by what follows
            w = r.choice(["there is", "there are", "there was", "there isn't", "their " + r.choice(vocabulary), "its " + r.choice(vocabulary)])
        elif k < 0.58 and not after_number:
            w = r.choice([str(r.randint(10, 999)), str(r.choice([3, 5, 6, 7, 9])), time_of_day(r), temperature(r)])
        else:
            w = r.choice(vocabulary)
        if not words or w != words[-1]:
            words.append(w)
    return sentence_of(words, r.choice("...?"))


def crossover(r, draw):
    """The beginning of one sentence, the end of another, at times with the middle of a third between.
    The mark at the end is the first one's, as the opening makes it a question."""
    parts = [draw().split() for _ in range(2 if r.random() < 0.75 else 3)]
    if min(map(len, parts)) < 3:
        return None
    words = parts[0][:r.randint(1, len(parts[0]) - 1)]
    for part in parts[1:]:
        start = r.randint(1, len(part) - 1)
        more = part[start:] if part is parts[-1] else part[start:r.randint(start + 1, len(part))]
        if words[-1][-1].isdigit() and re.match(r"-?\d|(to|for|and|point)\b", more[0]):
            return None  # 20 and 2 sound like 22
        words = words + more
    words = [w.rstrip(".?!") for w in words]
    return sentence_of(words, parts[0][-1][-1])


WEIGHTS = {"question": 0.20, "command": 0.17, "social": 0.05, "decline": 0.10, "reply": 0.12, "filler": 0.14, "mixed": 0.22}
HELDOUT_WEIGHTS = {"question": 0.27, "command": 0.24, "social": 0.05, "decline": 0.10, "reply": 0.18, "filler": 0.16}


def expand(template, r):
    """One sentence from a template: choices first, then slots, then the capital letter."""
    while "[" in template:
        template = re.sub(r"\[([^\[\]]*)\]", lambda m: r.choice(m.group(1).split("|")), template, count=1)
    s = re.sub(r"\{(\w+)\}", lambda m: SLOTS[m.group(1)](r), template)
    s = re.sub(r" +", " ", s).replace(" .", ".").replace(" ?", "?").replace(" ,", ",")
    s = s.replace("closeed", "closed")
    return s[0].upper() + s[1:]


def sentences(n, seed, split):
    """n sentences as (kind, text), text spelled as hear-nano shall write it."""
    r = random.Random(f"{seed}:{split}")
    lines = templates(split)
    kinds, weights = zip(*(WEIGHTS if split == "train" else HELDOUT_WEIGHTS).items())
    vocabulary, apart = (words_of_training(), heldout_pattern()) if split == "train" else ([], None)
    plain = list(lines)
    draw = lambda: expand(r.choice(lines[r.choices(plain, [WEIGHTS[k] for k in plain])[0]]), r)
    out, seen = [], {}
    while len(out) < n:
        kind = r.choices(kinds, weights)[0]
        if kind == "mixed":
            s = any_words(r, vocabulary) if r.random() < 0.25 else crossover(r, draw)
        else:
            s = expand(r.choice(lines[kind]), r)
        if not s or len(s) > 110 or seen.get(s, 0) >= (12 if len(s) < 14 else 6 if len(s) < 30 else 3):
            continue
        if apart and apart.fullmatch(bare(s)):
            continue
        seen[s] = seen.get(s, 0) + 1
        out.append((kind, s))
    return out


# ---------------------------------------------------------------- from spelling to speech
ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
ORDINAL = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth", "twelve": "twelfth"}


def cardinal(n, r):
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10] + ("" if n % 10 == 0 else " " + ONES[n % 10])
    if n < 1000:
        rest = "" if n % 100 == 0 else r.choice([" and ", " and ", " "]) + cardinal(n % 100, r)
        return ONES[n // 100] + " hundred" + rest
    rest = "" if n % 1000 == 0 else (" and " if n % 1000 < 100 else " ") + cardinal(n % 1000, r)
    return cardinal(n // 1000, r) + " thousand" + rest


def ordinal(n, r):
    words = cardinal(n, r).split()
    w = words[-1]
    words[-1] = ORDINAL.get(w) or (w[:-1] + "ieth" if w.endswith("y") else w + "th")
    return " ".join(words)


def clock(h, m, r, padded):
    hour = cardinal(h, r)
    if padded and h < 10:
        hour = r.choice(["zero ", "oh ", "zero "]) + hour
    if m == 0:
        return hour + r.choice([" o'clock", " zero zero", " hundred"] if padded else [" o'clock", " o'clock", " zero zero"])
    if m < 10:
        return hour + r.choice([" oh ", " zero ", " zero "]) + ONES[m]
    return hour + " " + cardinal(m, r)


def spoken(text, r):
    """The words that are said for a spelling: 21.5 -> twenty one point five, 14:05 -> fourteen oh five."""
    months = "|".join(MONTHS)
    text = re.sub(rf"\b(\d+) ({months})\b", lambda m: r.choice([ordinal, cardinal])(int(m[1]), r) + " " + m[2], text)
    text = re.sub(rf"\b({months}) (\d+)\b", lambda m: m[1] + " " + r.choice([ordinal, cardinal])(int(m[2]), r) if len(m[2]) < 3 else m[0], text)
    text = re.sub(r"\b(\d\d?):(\d\d)\b", lambda m: clock(int(m[1]), int(m[2]), r, len(m[1]) == 2), text)

    def year(m):
        n = int(m[0])
        if 2000 <= n < 2010 or r.random() < 0.4:
            return cardinal(n, r)
        return cardinal(n // 100, r) + " " + (cardinal(n % 100, r) if n % 100 > 9 else "oh " + ONES[n % 100])
    text = re.sub(r"\b(19|20)\d\d\b", year, text)
    text = re.sub(r"(?<![\w.])-(\d)", lambda m: "minus " + m[1], text)
    text = re.sub(r"\b(\d+)\.(\d+)", lambda m: cardinal(int(m[1]), r) + " point " + " ".join(ONES[int(c)] for c in m[2]), text)
    text = re.sub(r"\d+", lambda m: cardinal(int(m[0]), r), text)
    return text


if __name__ == "__main__":
    rng = random.Random(1)
    for split_name in ("train", "heldout"):
        ls = templates(split_name)
        print(split_name, {k: len(v) for k, v in ls.items()}, sum(map(len, ls.values())))
        for kind_name, sentence in sentences(40, 0, split_name):
            print(f"  {kind_name:9s} {sentence}   | {spoken(sentence, rng)}")
