"""What people say to a home assistant, and what it answers: a grammar that writes sentences for
hear-nano, with each sentence's spelling (digits, capitals, punctuation, as Whisper writes) and the
words that are spoken for it. About one template in six is kept out of training, so that
the held-out sentences are new phrasings, not only new values. No text is taken from anywhere else.

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
    return {kind: [t for k, t in lines if k == kind and ((k, t) in chosen) == (split == "heldout")] for kind in TEMPLATES}


WEIGHTS = {"question": 0.27, "command": 0.24, "social": 0.05, "decline": 0.10, "reply": 0.18, "filler": 0.16}


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
    kinds, weights = zip(*WEIGHTS.items())
    out, seen = [], {}
    while len(out) < n:
        kind = r.choices(kinds, weights)[0]
        s = expand(r.choice(lines[kind]), r)
        if len(s) > 110 or seen.get(s, 0) >= (12 if len(s) < 14 else 6 if len(s) < 30 else 3):
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
