"""Homes and conversations for talk-nano, skill 1 (the home assistant): a generator with one canonical answer for
every question, so that "exactly right" can be counted. For tokenizer.py, train.py and evaluate.py.

Phrasings are templates: `[a|b|]` picks one alternative (nesting allowed), `{R}` and the like are slots. A template
whose text begins with `~` is HELD OUT: training never draws it, the held-out set draws nothing else. Names are held
out the same way: words after `HELD:` in the lists below, and names made of syllables of which the first begins as in
HELD_ONSETS, occur only in the held-out set (words of any letters begin so in training, too: their tokens must be copied
now and then). Nothing is scraped; every line was written for this file.

The other skills are in reports.py and pictures.py.
"""

import json
import random
from dataclasses import dataclass, field

import words

# ---------------------------------------------------------------------------------------------------------- words

def _names(text):
    """(names for training, names held out) from a comma list with an optional `HELD:` part."""
    open_, _, held = text.partition("HELD:")
    split = lambda s: [w.strip() for w in s.replace("\n", " ").split(",") if w.strip()]
    return split(open_), split(held)


ROOMS = _names("""kitchen, living room, bedroom, bathroom, hall, hallway, office, study, garage, attic, basement, cellar,
nursery, kids room, children's room, guest room, guest bedroom, master bedroom, dining room, laundry room, utility room,
workshop, library, corridor, landing, playroom, gym, sauna, greenhouse, shed, porch, conservatory, lounge, den, toilet,
washroom, shower room, ensuite, dressing room, closet, storage room, storeroom, server room, studio, music room,
home office, hobby room, boiler room, garden house, terrace, balcony, patio, stairs, staircase, entrance, lobby,
reception, meeting room, conference room, lab, canteen, warehouse, classroom, barn, stable, veranda, sun room,
tv room, games room, reading room, workroom, bunk room, box room, boot room, mud room, wine cellar, roof terrace,
kitchenette, breakfast room, drawing room, parlour, family room, front room, back room, spare room, small bedroom,
big bedroom, vestibule, foyer, darkroom, cabin, caravan, bakery, shop, clinic, ward, gallery, archive
HELD: pantry, loft, sunroom, snug, scullery, media room, summer house, changing room, mezzanine, craft room, cloakroom,
annex, wardrobe, tack room""")

DOORS = _names("""front door, back door, garage door, side door, cellar door, balcony door, patio door, kitchen door,
bedroom door, bathroom door, office door, main door, garden door, terrace door, basement door, shed door, attic door,
sliding door, glass door, fire door, gate, garden gate, front gate, back gate, driveway gate, side gate, cat flap,
kitchen window, bedroom window, bathroom window, roof window, skylight, living room window, cellar window, hatch,
attic hatch, mailbox, safe, barn door, porch door, stable door, server room door, entrance door, elevator door,
left door, right door, upper window, lower gate, big gate, steel door, wooden door, cupboard, gun cabinet, fridge door
HELD: loft hatch, french door, pantry door, yard gate, dormer window, delivery hatch, workshop door, tool cabinet""")

DEVICES = _names("""coffee machine, television, tv, radio, fan, ceiling fan, heater, fan heater, oven, dishwasher,
washing machine, dryer, tumble dryer, kettle, toaster, vacuum cleaner, robot vacuum, humidifier, dehumidifier,
air conditioner, air purifier, computer, printer, speaker, stereo, projector, pump, pool pump, fountain, sprinkler,
garden pump, boiler, water heater, electric blanket, fireplace, stove, extractor hood, extractor fan, microwave, freezer,
router, game console, doorbell, alarm, siren, camera, aquarium, fish tank, rice cooker, slow cooker, bread maker,
charger, car charger, monitor, soundbar, towel rail, floor heating, garden hose, compressor, saw, lathe, kiln,
grill, waffle iron, hair dryer, iron, sewing machine, desk fan, tower fan, plug, power strip, christmas tree,
blender, mixer, juicer, ice maker, espresso machine, hot tub, mower, record player
HELD: infrared heater, popcorn maker, pond pump, bottle warmer, laminator, fog machine, plotter, jukebox, food dryer""")

PEOPLE = _names("""anna, tom, zara, ben, mia, leo, emma, paul, lucy, max, nina, oscar, ida, felix, clara, hugo, ella, noah,
lena, jonas, sara, david, maria, peter, julia, simon, alice, omar, aisha, ivan, olga, kenji, yuki, wei, li, carlos, sofia,
pedro, ines, marc, zoe, tim, eva, jack, lily, grace, henry, rosa, amir, leila, grandma, grandpa, dad, mum
HELD: bruno, mathilda, ravi, priya, stella, otto, wanda, viktor, noor, quentin""")

ADJECTIVES = _names("""small, big, upper, lower, left, right, old, new, blue, red, green, white, yellow, north, south, east,
west, main, second, first, third, front, back, little, inner, outer, black, grey, warm, cold
HELD: violet, rear, middle, orange, tiny""")

WEATHER = {  # what `weather` may say -> True where the word is a noun ("there is rain", but "it is rainy")
    "rain": True, "light rain": True, "heavy rain": True, "drizzle": True,
    "rainy": False, "snow": True, "light snow": True, "heavy snow": True,
    "snowy": False, "sunny": False, "sunshine": True, "clear": False,
    "cloudy": False, "overcast": False, "partly cloudy": False, "fog": True,
    "foggy": False, "mist": True, "windy": False, "wind": True,
    "stormy": False, "thunder": True, "hail": True, "dry": False,
}

ONSETS = "b c d f g h k l m n p r s t v w z br dr gl kr pl st tr sk fl th sh ch".split()
HELD_ONSETS = "j qu y sp gr".split()
VOWELS = "a e i o u a e i o ai ou ee".split()
CODAS = "n r l s m t k x nd rk lt sh  ".split(" ")

SYSTEMS = [
    "You are Nearfield, a voice assistant at home. Answer in one or two short sentences.",
    "You are Nearfield, a voice assistant at home. Answer in one or two short sentences.",
    "You are Nearfield, a voice assistant at home. Answer in one or two short sentences.",
    "You are Nearfield, an offline voice assistant. Be brief.",
    "You are a helpful assistant at home.",
    "You answer questions about the home below. Keep it short.",
    "You are the voice of this house. Answer shortly and truthfully.",
    "You are Nearfield. Use the tools to switch things.",
    "You are a voice assistant on a small board. Your answers are spoken aloud.",
    "Answer questions about the home in one sentence.",
    "You help the people who live here. Say only what you know.",
    "Nearfield, home assistant.",
    "You are a friendly voice assistant. Answer in a short sentence.",
    "Home assistant",
    "",
]

# ----------------------------------------------------------------------------------------------------- templates

T = {}
T["temp"] = """What is the temperature in {R}?|What's the temperature in {R}?|How warm is it in {R}?|How cold is it in {R}?
How hot is it in {R}?|What is the temperature of {R}?|Tell me the temperature in {R}.|[Please |]tell me how warm it is in {R}.
What temperature is it in {R}?|How warm is {R}?|How cold is {R}?|How many degrees is it in {R}?
Give me the temperature in {R}[, please|].|{R0} temperature.|{R0} temperature, please.|Temperature in {R}.
What does the thermometer in {R} say?|Can you tell me the temperature in {R}?|Do you know how warm it is in {R}?
I want to know the temperature in {R}.|What's the {R0} temperature?|What is the {R0} temperature [now|right now|at the moment]?
What is the temperature in {R} [now|right now|at the moment|currently]?|How warm is it [now|right now] in {R}?
In {R}, how warm is it?|In {R}, what is the temperature?|Check the temperature in {R}.|Read me the temperature in {R}.
What's it like in {R}, how many degrees?|How many degrees [are there|do we have] in {R}?|Is it warm in {R}, how many degrees?
How hot is {R} [now|right now]?|Say the temperature of {R}.|Could you check how cold it is in {R}?
~How warm is it [over there |]in {R} at the moment?|~Could you tell me the temperature in {R}?|~What's the current temperature in {R}?
~Let me know how warm {R} is.|~How many degrees does {R} have right now?|~I'd like to know how cold it is in {R}."""
T["temp_out"] = """What is the temperature outside?|What's the temperature outside?|How warm is it outside?|How cold is it outside?
How hot is it outside?|Tell me the temperature outside.|What temperature is it outside?|How many degrees is it outside?
Outside temperature.|What is the outside temperature?|What's the outdoor temperature?|How cold is it out there?
How warm is it outdoors?|Can you tell me how cold it is outside?|How many degrees are there outside?|Temperature outside, please.
What does the thermometer outside say?|How warm is it [out|outside] [now|right now]?|Check the temperature outside.
~How cold is it outside right now?|~What's the current temperature outside?|~Let me know how warm it is outside.|~How hot is it outdoors?"""
T["humidity"] = """What is the humidity in {R}?|What's the humidity in {R}?|How humid is it in {R}?|How damp is it in {R}?
Tell me the humidity in {R}.|How high is the humidity in {R}?|What is the humidity of {R}?|How humid is {R}?
{R0} humidity.|Humidity in {R}.|Humidity in {R}, please.|Give me the humidity in {R}.|What's the {R0} humidity?
How much humidity is there in {R}?|How dry is the air in {R}?|How moist is the air in {R}?|Can you tell me the humidity in {R}?
What is the humidity in {R} [now|right now|at the moment]?|In {R}, how humid is it?|Check the humidity in {R}.|How dry is it in {R}?
What percent humidity [is it|do we have] in {R}?|Read me the humidity in {R}.|Do you know how humid it is in {R}?|How damp is {R}?
~What's the current humidity in {R}?|~Could you tell me how humid it is in {R}?|~How humid is the air in {R}?|~Let me know the humidity of {R}."""
T["light_what"] = """What about the light in {R}?|What is the state of the light in {R}?|How is the light in {R}?|Is the light in {R} on or off?
Is the {R0} light on or off?|Tell me about the light in {R}.|Tell me about the {R0} light.|What is the {R0} light doing?|Check the light in {R}.|Check the {R0} light.
Tell me if the light in {R} is on or off.|What's the state of the {R0} light?|Light in {R}, on or off?|{R0} light, on or off?
~What's with the light in {R}?|~Is the lamp in {R} on or off?|~Tell me whether the {R0} light is on or off."""
T["light_yn"] = """Is the {R0} light {s}?|Is the light in {R} {s}?|Is the light {s} in {R}?|Are the lights {s} in {R}?|Are the lights in {R} {s}?
Are the {R0} lights {s}?|Is the lamp in {R} {s}?|Is the lamp {s} in {R}?|Is the light in {R} [still|turned|switched|currently] {s}?
Is the {R0} light [still|turned|switched|currently] {s}?|Tell me if the light in {R} is {s}.|Tell me if the {R0} light is {s}.
Can you check if the light in {R} is {s}?|Do you know if the {R0} light is {s}?|Did I leave the light {s} in {R}?|Did I leave the {R0} light {s}?
In {R}, is the light {s}?|Is it true that the light in {R} is {s}?|Has the light in {R} been turned {s}?|Have I left the light in {R} {s}?
Is the {R0} light {s} [now|right now|at the moment]?|Is somebody's light {s} in {R}?|Is there a light {s} in {R}?
~Could you check whether the {R0} light is {s}?|~Is the light {s} [now|right now] in {R}?|~Did we leave the light in {R} {s}?|~Is the {R0} lamp [still |]{s}?|~I wonder if the light in {R} is {s}."""
T["dark_yn"] = """Is it dark in {R}?|Is {R} dark?|Is the light out in {R}?|~Is it [all |]dark in {R} now?"""
T["door_what"] = """What about {D}?|What is the state of {D}?|How is {D}?|Is {D} open or closed?|Is {D} locked or unlocked?|Tell me about {D}.
Check {D}.|What state is {D} in?|Is {D} open or locked?|Tell me the state of {D}.|What's up with {D}?|How does {D} stand?
~What's the state of {D}?|~Give me the state of {D}.|~Is {D} closed or open?"""
T["door_yn"] = """Is {D} {s}?|Is {D} [still|really|now|currently] {s}?|Tell me if {D} is {s}.|Can you check if {D} is {s}?|Did I leave {D} {s}?
Have I left {D} {s}?|Do you know if {D} is {s}?|Is {D} {s} [now|right now|at the moment]?|Did somebody leave {D} {s}?|Is it true that {D} is {s}?
Check if {D} is {s}.|I think {D} is {s}, is it?|Please check that {D} is {s}.|Can you tell me whether {D} is {s}?|Is {D} {s} or not?
~Could you check whether {D} is {s}?|~Did we leave {D} {s}?|~I wonder if {D} is {s}.|~Is {D} actually {s}?"""
T["dev_what"] = """What about {V}?|What is the state of {V}?|Is {V} on or off?|Tell me about {V}.|Check {V}.|How is {V}?|What is {V} doing?
What state is {V} in?|Tell me the state of {V}.|Tell me if {V} is on or off.|{V0}, on or off?
~What's the state of {V}?|~Tell me whether {V} is on or off.|~Give me the state of {V}."""
T["dev_yn"] = """Is {V} {s}?|Is {V} [still|turned|switched|currently|now] {s}?|Tell me if {V} is {s}.|Can you check if {V} is {s}?|Did I leave {V} {s}?
Have I left {V} {s}?|Do you know if {V} is {s}?|Is {V} {s} [now|right now|at the moment]?|Did somebody leave {V} {s}?|Check if {V} is {s}.
Has {V} been switched {s}?|Can you tell me whether {V} is {s}?|I think {V} is {s}, is it?|Is {V} {s} or not?|Is it true that {V} is {s}?
~Could you check whether {V} is {s}?|~Did we leave {V} {s}?|~I wonder if {V} is {s}.|~Is {V} actually {s}?"""
T["dev_run"] = """Is {V} running?|Is {V} [still |]running?|Does {V} run?|Is {V} working [now|right now]?|~Is {V} running [now|at the moment]?"""
T["weather"] = """What is the weather like?|What's the weather?|How is the weather?|What is the weather like outside?|How's the weather outside?
Tell me the weather.|What's the weather like today?|How is it outside?|What is it like outside?|How does it look outside?|Weather.
What's the weather outside?|Give me the weather.|Can you tell me the weather?|How is the weather [today|now|right now]?|Weather, please.
What's going on outside?|Check the weather.|~How's the weather [now|right now]?|~What's the weather like out there?|~Tell me what the weather is like.|~What does it look like outside?"""
T["weather_yn"] = """Is it {w}?|Is it {w} outside?|Is it {w} [now|right now|at the moment]?|Is it [still|really] {w}?|Tell me if it is {w}.|Do you know if it's {w}?
Can you tell me if it is {w} outside?|Is it {w} out there?|~Is it {w} outside [right now|at the moment]?|~Could you check if it's {w}?"""
T["umbrella"] = """Do I need an umbrella?|Should I take an umbrella?|Is there rain outside?|Will I get wet outside?|Do I need a rain coat?|Is there any rain?
~Do I need to take an umbrella with me?|~Should I bring an umbrella?"""
T["cmp_yn"] = """Is it {c} in {A} than {B}?|Is it {c} in {A} than it is {B}?|Is {A0} {c} than {B0}?|Is the temperature in {A} {h} than {B}?
Tell me if it's {c} in {A} than {B}.|In {A}, is it {c} than {B}?|Do you know if it is {c} in {A} than {B}?|Is it {c} in {A} than {B} [now|right now]?
Is it [really|still|actually] {c} in {A} than {B}?|Can you tell me if it is {c} in {A} than {B}?
~Could you check if it's {c} in {A} than {B}?|~Is it any {c} in {A} than {B}?|~Would you say it is {c} in {A} than {B}?"""
T["cmp_hum"] = """Is it {c} in {A} than in {B}?|Is {A} {c} than {B}?|Is the humidity in {A} {h} than in {B}?|Is the air {c} in {A} than in {B}?
Tell me if it's {c} in {A} than in {B}.|Can you tell me if it is {c} in {A} than in {B}?|~Could you check if it's {c} in {A} than in {B}?|~Is the air in {A} {c} than in {B}?"""
T["cmp_which"] = """Which is {c}, {A} or {B}?|Which room is {c}, {A} or {B}?|What is {c}, {A} or {B}?|Where is it {c}, in {A} or in {B}?|Is it {c} in {A} or in {B}?
Which one is {c}, {A} or {B}?|Is {A} or {B} {c}?|Tell me which is {c}, {A} or {B}.|Between {A} and {B}, which is {c}?
~Which of the two is {c}, {A} or {B}?|~Where is it {c}, {A} or {B}?|~What's {c}, {A} or {B}?"""
T["cmp_than"] = """Is it {c} than {n} degrees in {R}?|Is it [over|above|more than] {n} degrees in {R}?#warm|Is it [under|below|less than] {n} degrees in {R}?#cold
Is {R} {c} than {n} degrees?|Is the temperature in {R} above {n} [degrees|]?#warm|Is the temperature in {R} below {n} [degrees|]?#cold|In {R}, is it {c} than {n} degrees?
Do we have more than {n} degrees in {R}?#warm|Do we have less than {n} degrees in {R}?#cold
~Are there more than {n} degrees in {R}?#warm|~Are there less than {n} degrees in {R}?#cold|~Would it be {c} than {n} degrees in {R}?"""
T["max"] = """Which room is the {m}?|What is the {m} room?|What's the {m} room?|Where is it the {m}?|Where is it {m}?|Which is the {m} room?|Tell me the {m} room.
Which room is {m} [now|right now|at the moment]?|In which room is it {m}?|What room is the {m}?|Which room is the {m} of all?|Where in the house is it {m}?
Can you tell me which room is the {m}?|Name the {m} room.|~Which of the rooms is the {m}?|~Do you know which room is {m}?|~Which room here is the {m}?|~What's the {m} room at the moment?"""
T["max_hilo"] = """Which room has the {x} {q}?|Where is the {q} {x}?|What room has the {x} {q}?|Where do we have the {x} {q}?|In which room is the {q} the {x}?|Tell me which room has the {x} {q}.
~Which of the rooms has the {x} {q}?|~Where can I find the {x} {q}?"""
T["list"] = """Which {k} are {s}?|What {k} are {s}?|Which {k} are {s} [now|right now|at the moment]?|Tell me which {k} are {s}.|Which {k} are [still|currently] {s}?|List the {k} that are {s}.
List all {k} that are {s}.|Can you tell me which {k} are {s}?|Which of the {k} are {s}?|What {k} did I leave {s}?|Which {k} did I leave {s}?|Name the {k} that are {s}.
Give me a list of the {k} that are {s}.|Do you know which {k} are {s}?|~Could you tell me which {k} are {s}?|~Which {k} have been left {s}?|~What are the {k} that are {s}?|~Say which {k} are {s}."""
T["list_where"] = """Where is the light {s}?|Where are the lights {s}?|In which rooms is the light {s}?|In which rooms are the lights {s}?|Which rooms have the light {s}?|Where did I leave the light {s}?
~Where are lights [still |]{s}?|~In what rooms is the light {s}?"""
T["any"] = """Are any {k} {s}?|Is any {k1} {s}?|Are there any {k} {s}?|Are any of the {k} {s}?|Is there any {k1} that is {s}?|Did I leave any {k} {s}?|Are there {k} that are {s}?|Is a {k1} {s} somewhere?
Are any {k} [still|currently] {s}?|Is one of the {k} {s}?|~Have I left any {k} {s}?|~Is there a {k1} {s} anywhere?|~Are some {k} {s}?"""
T["all"] = """Are all {k} {s}?|Are all the {k} {s}?|Is every {k1} {s}?|Are the {k} all {s}?|Are all of the {k} {s}?|Tell me if all {k} are {s}.|Check if all the {k} are {s}.|Is each {k1} {s}?
Can you check that all {k} are {s}?|Are all {k} [really|now] {s}?|~Could you check if all {k} are {s}?|~Have all {k} been left {s}?|~Are all my {k} {s}?"""
T["count"] = """How many {k} are {s}?|How many of the {k} are {s}?|Count the {k} that are {s}.|How many {k} are [still|currently] {s}?|How many {k} are {s} [now|right now]?|Tell me how many {k} are {s}.
Can you tell me how many {k} are {s}?|What number of {k} are {s}?|How many {k} did I leave {s}?|Do you know how many {k} are {s}?|~Could you count the {k} that are {s}?|~How many {k} have been left {s}?|~How many {k} are {s} at the moment?"""
T["things"] = """Which {k} are there?|What {k} are there?|Which {k} do you know?|What {k} do you have?|List the {k}.|List all {k}.|Name the {k}.|Tell me the {k}.|What are the {k}?|What {k} do we have?|Which {k} does the house have?
~Which {k} can you see?|~Give me a list of the {k}.|~What {k} do you know [of|about]?"""
T["things_n"] = """How many {k} are there?|How many {k} do we have?|How many {k} do you know?|Count the {k}.|How many {k} does the house have?|What is the number of {k}?|Tell me how many {k} there are.
~How many {k} have we got?|~How many {k} do you have?"""
T["exists"] = """Is there a {n}?|Do we have a {n}?|Is there a {n} here?|Do you know the {n}?|Does the house have a {n}?|~Have we got a {n}?|~Is there a {n} in the house?"""
T["time"] = """What time is it?|What's the time?|Tell me the time.|What is the time?|How late is it?|Can you tell me the time?|What time is it [now|right now]?|Do you know what time it is?|Do you know the time?
Time, please.|The time, please.|What does the clock say?|What hour is it?|Give me the time.|Please tell me what time it is.|What's the time [now|right now|please]?|Do you have the time?|Check the clock.|Is it late?|Say the time.
~Could you tell me the time?|~Could you tell me what time it is?|~I'd like to know the time.|~What time do we have?|~Let me know what time it is."""
T["date"] = """What is the date?|What's the date today?|What date is it?|Tell me the date.|What is today's date?|What's today's date?|Which date is it today?|Can you tell me the date?|Today's date, please.|What is the date today?
Do you know the date?|What date do we have today?|~Could you tell me today's date?|~What's the date?|~Which date is today?"""
T["day"] = """What day is it?|What day is it today?|Which day is it today?|What day of the week is it?|Which weekday is it?|What is today?|Is it Monday today?#no|Tell me what day it is.|What weekday is today?|What day is today?|Which day of the week is it?
~Could you tell me what day it is?|~What day do we have today?|~Which day is today?"""
T["day"] = T["day"].replace("|Is it Monday today?#no", "")
T["month"] = """What month is it?|Which month is it?|What is the month?|Tell me the month.|Which month do we have?|~What month are we in?|~Which month is it now?"""
T["year"] = """What year is it?|Which year is it?|What is the year?|Tell me the year.|Which year do we have?|~What year are we in?|~Which year is it now?"""
T["timer"] = """Set a timer for {t}.|Set a timer for {t}[, please|].|Set a {t1} timer.|Start a timer for {t}.|Start a {t1} timer.|Timer for {t}.|Timer, {t}.|{T} timer.|Set the timer to {t}.|Set timer {t}.|Give me a timer for {t}.|Remind me in {t}.
Can you set a timer for {t}?|Please set a timer for {t}.|Set a timer of {t}.|Wake me in {t}.|Wake me up in {t}.|Tell me when {t} are over.|Make a timer for {t}.|Put on a timer for {t}.|I need a timer for {t}.|A {t1} timer, please.|Count down {t}.|Set the alarm for {t} from now.|Let me know in {t}.
Start the timer for {t}.|Set a timer {t}.|Alarm in {t}.|Call me in {t}.
~Could you set a timer for {t}?|~I'd like a timer for {t}.|~Please start a {t1} timer.|~Let the timer run for {t}.|~Remind me in {t}, please.|~Run a timer for {t}."""
T["timer_none"] = """Set a timer.|Start a timer.|Can you set a timer?|Timer, please.|I need a timer.|Set a timer for me.|~Could you set a timer?|~Please start a timer."""
T["light_cmd"] = """Turn {s} the {R0} light.|Turn the {R0} light {s}.|Turn {s} the light in {R}.|Turn the light in {R} {s}.|Turn the light {s} in {R}.|Switch {s} the {R0} light.|Switch the {R0} light {s}.|Switch {s} the light in {R}.|Switch the light {s} in {R}.
Turn {s} the lights in {R}.|Turn the lights {s} in {R}.|Turn the {R0} lights {s}.|{R0} light {s}.|{R0} light {s}, please.|Light {s} in {R}.|Lights {s} in {R}.|Lights in {R} {s}.|Can you turn {s} the light in {R}?|Can you turn the {R0} light {s}?|Please turn {s} the {R0} light.|Please turn the light {s} in {R}.
Turn {s} the lamp in {R}.|Switch the lamp in {R} {s}.|Put the light {s} in {R}.|Put {s} the light in {R}.|Put the {R0} light {s}.|I want the light {s} in {R}.|I want the {R0} light {s}.|Make the light in {R} go {s}.|In {R}, turn the light {s}.|In {R}, switch {s} the light.|Set the light in {R} to {s}.|Set the {R0} light to {s}.
Turn {s} the {R0} light[, please| now| for me].|Would you turn {s} the light in {R}?|The light in {R} should be {s}.
~Could you turn {s} the {R0} light?|~Could you switch the light {s} in {R}?|~I'd like the {R0} light {s}.|~Please switch {s} the lights in {R}.|~Please put the {R0} light {s}.|~Would you switch the light in {R} {s}?|~I need the light {s} in {R}."""
T["light_on2"] = """Make it bright in {R}.|It's too dark in {R}.|Light up {R}.|I need [some|] light in {R}.|Some light in {R}, please.|I can't see anything in {R}.|~Give me some light in {R}.|~It is very dark in {R}, turn the light on."""
T["light_off2"] = """Make it dark in {R}.|It's too bright in {R}.|Kill the light in {R}.|No light in {R}, please.|Lights out in {R}.|Put out the light in {R}.|~Lights out in {R}, please.|~It is too bright in {R}, turn the light off."""
T["light_which"] = """Turn {s} the light.|Turn the light {s}.|Switch the light {s}.|Switch {s} the light.|Light {s}.|Turn {s} the lamp.|Please turn the light {s}.|Can you turn {s} the light?|~Could you turn the light {s}?|~Please switch {s} the light."""
T["dev_cmd"] = """Turn {s} {V}.|Turn {V} {s}.|Switch {s} {V}.|Switch {V} {s}.|{V0} {s}.|{V0} {s}, please.|Can you turn {s} {V}?|Can you switch {V} {s}?|Please turn {s} {V}.|Please switch {V} {s}.|Put {V} {s}.|I want {V} {s}.|Set {V} to {s}.|Would you turn {V} {s}?
Turn {s} {V} [now|please|for me].|Make sure {V} is {s}.|{V} should be {s}.|~Could you turn {s} {V}?|~Could you switch {V} {s}?|~I'd like {V} {s}.|~Please put {V} {s}.|~Would you switch {s} {V}?|~I need {V} {s}."""
T["dev_start"] = """Start {V}.#on|Stop {V}.#off|Start {V}, please.#on|Stop {V}, please.#off|Please start {V}.#on|Please stop {V}.#off|Shut off {V}.#off|Can you start {V}?#on|Can you stop {V}?#off|Shut down {V}.#off|Run {V}.#on|~Could you start {V}?#on|~Could you stop {V}?#off|~Start {V} now.#on|~Stop {V} now.#off"""
T["door_cmd"] = """{Vb} {D}.|{Vb} {D}, please.|Please {vb} {D}.|Can you {vb} {D}?|Would you {vb} {D}?|{Vb} {D} [now|for me].|I want you to {vb} {D}.|Go and {vb} {D}.|You can {vb} {D} [now|].|Now {vb} {D}.|I want {D} {s}.|Make sure {D} is {s}.|Set {D} to {s}.|Just {vb} {D}.
~Could you {vb} {D}?|~I'd like you to {vb} {D}.|~Could you please {vb} {D}?|~{Vb} {D} right now.|~I'd like {D} {s}."""
T["all_light"] = """Turn {s} all the lights.|Turn all the lights {s}.|Turn all lights {s}.|Turn {s} all lights.|Switch {s} all lights.|Switch all the lights {s}.|All lights {s}.|All lights {s}, please.|Turn {s} every light.|Lights {s} everywhere.|Turn {s} the lights everywhere.|Turn the lights {s}.|Turn {s} the lights.|Lights {s}.
Can you turn {s} all the lights?|Please turn all the lights {s}.|Turn {s} the lights in all rooms.|Turn {s} the lights in the whole house.|Every light {s}.|~Could you turn {s} all the lights?|~Please switch all lights {s}.|~I'd like all the lights {s}.|~Switch {s} the lights in every room."""
T["all_dev"] = """Turn {s} all the devices.|Turn all devices {s}.|Switch {s} all devices.|Switch all the devices {s}.|All devices {s}.|Turn {s} every device.|Please turn all the devices {s}.|Can you turn {s} all devices?|~Could you turn {s} all the devices?|~Please switch all devices {s}."""
T["all_door"] = """{Vb} all the doors.|{Vb} all doors.|{Vb} every door.|Please {vb} all the doors.|Can you {vb} all doors?|All doors {s}, please.|{Vb} all the doors, please.|{Vb} the doors.|{Vb} all of the doors.|~Could you {vb} all the doors?|~I'd like all doors {s}.|~Please {vb} every door."""
T["everything"] = """Turn {s} everything.|Turn everything {s}.|Switch everything {s}.|Switch {s} everything.|Everything {s}.|Please turn everything {s}.|Everything {s}, please.|~Could you turn {s} everything?|~Please switch everything {s}."""
T["two"] = """{X} and {y}.|{X} and then {y}.|{X} and also {y}.|Please {x} and {y}.|Can you {x} and {y}?|{X}, then {y}.|First {x}, then {y}.|~Could you {x} and {y}?|~{X}, and after that {y}."""
T["two_light"] = """Turn {s} the lights in {A} and {B}.|Turn the lights {s} in {A} and {B}.|Turn {s} the light in {A} and in {B}.|Switch {s} the lights in {A} and {B}.|Turn {s} the {A0} light and the {B0} light.|Lights {s} in {A} and {B}.|~Could you turn {s} the lights in {A} and {B}?|~Please switch the lights in {A} and {B} {s}."""
T["f_room"] = """And in {R}?|And {R}?|What about {R}?|What about in {R}?|How about {R}?|And what about {R}?|And how about {R}?|In {R}?|And in {R}, please?|{R}?|Now {R}.|And now in {R}?|And for {R}?|~And in {R} then?|~How about in {R}?|~Okay, and {R}?|~And then {R}?"""
T["f_thing"] = """And {D}?|What about {D}?|How about {D}?|And what about {D}?|And how about {D}?|{D}?|And now {D}?|~Okay, and {D}?|~And then {D}?|~How about {D} then?"""
T["f_out"] = """And outside?|What about outside?|How about outside?|And what about outside?|Outside?|And out there?|~Okay, and outside?|~And what about out there?"""
T["f_cmd_room"] = """And in {R}.|And in {R} too.|And {R} too.|In {R} too.|Also in {R}.|And the one in {R}.|And also in {R}.|{R0} too.|The same in {R}.|And the {R0} light.|And the {R0} light too.|~And the same in {R}.|~Do the same in {R}.|~{R0} too, please."""
T["f_cmd_thing"] = """And {D} too.|And {D}.|Also {D}.|{D} too.|And also {D}.|And {D} as well.|~The same for {D}.|~{D} too, please.|~Do the same with {D}."""
T["f_again"] = """Turn it {s} again.|Turn it back {s}.|Switch it {s} again.|Now turn it {s}.|Turn it {s}.|Switch it {s}.|And now {s} again.|{S} again.|Please turn it {s} again.|Can you turn it {s} again?|Turn it {s}, please.|~Could you turn it {s} again?|~Please switch it {s} again.|~Switch it back {s}."""
T["f_again_door"] = """{Vb} it again.|{Vb} it.|Now {vb} it again.|{Vb} it, please.|Please {vb} it again.|Can you {vb} it?|Then {vb} it.|Now {vb} it.|~Could you {vb} it again?|~Then {vb} it, please."""
T["f_humid"] = """And the humidity?|And how humid is it [there|]?|What about the humidity?|And the humidity there?|How about the humidity?|And how high is the humidity?|~And what is the humidity [there|]?|~How humid is it there?"""
T["f_temp"] = """And the temperature?|And how warm is it [there|]?|What about the temperature?|And the temperature there?|How about the temperature?|And how cold is it there?|~And what is the temperature [there|]?|~How warm is it there?"""
T["f_light"] = """And the light?|And is the light on?#on|And the light there?|What about the light?|Is the light on there?#on|~How about the light?|~And the light in there?"""
T["f_ismax"] = """And the {m}?|And which one is the {m}?|And which is the {m}?|What about the {m}?|And where is it {m}?|~And which room is the {m}?|~How about the {m}?"""
T["f_which"] = """In {R}.|{R}.|{R0}.|The one in {R}.|In {R}, please.|I mean {R}.|I mean in {R}.|~The {R0} one.|~{R}, please."""
T["f_off_listed"] = """Turn {them} {s}.|Switch {them} {s}.|Then turn {them} {s}.|Turn {them} all {s}.|Please turn {them} {s}.|~Could you turn {them} {s}?|~Switch {them} all {s}."""
T["which_ask"] = """How warm is it?|What is the temperature?|How cold is it?|What's the temperature?|~How many degrees is it?"""
T["door_ask"] = """Is the door locked?|Is the door open?|Is the door closed?|Lock the door.|Open the door.|Close the door.|Unlock the door.|Is the door unlocked?|~Please lock the door.|~Is the door open now?"""
T["repeat"] = """What did you say?|Say that again.|Repeat that.|Can you repeat that?|Please repeat.|Once more, please.|Pardon?|Sorry, what did you say?|Say it again.|I did not hear you.|Again, please.|Repeat it, please.|~Could you say that again?|~Could you repeat that, please?|~What was that?"""

SOCIAL = [  # (kind, questions, reply)
    ("hello", """Hello.|Hi.|Hi there.|Hello there.|Hey.|Hello, Nearfield.|Hi, Nearfield.|Hey, Nearfield.|Hello, how can you help?|Hello, hello.|Greetings.|~Hello again.|~Oh, hello.""", "Hello. How can I help?"),
    ("morning", """Good morning.|Good morning, Nearfield.|Morning.|A good morning to you.|~Good morning to you.|~Hi, good morning.""", "Good morning."),
    ("afternoon", """Good afternoon.|Good afternoon, Nearfield.|~Good afternoon to you.""", "Good afternoon."),
    ("evening", """Good evening.|Good evening, Nearfield.|A good evening to you.|~Good evening to you.|~Hi, good evening.""", "Good evening."),
    ("night", """Good night.|Good night, Nearfield.|I am going to bed, good night.|Night night.|Sleep well.|~Good night to you.|~I'm off to bed, good night.""", "Good night."),
    ("bye", """Bye.|Goodbye.|Bye bye.|See you.|See you later.|See you tomorrow.|I am leaving now, bye.|Goodbye, Nearfield.|~Bye, see you later.|~Okay, goodbye.""", "Goodbye."),
    ("thanks", """Thank you.|Thanks.|Thanks a lot.|Thank you very much.|Many thanks.|Great, thank you.|Thank you, Nearfield.|Thanks for that.|Okay, thanks.|Cheers.|That helps, thank you.|~Thank you so much.|~Perfect, thanks.|~Thanks for the help.""", "You are welcome."),
    ("praise", """Well done.|Good job.|You are great.|That was good.|You are very helpful.|I like you.|Nice work.|You're smart.|Very good.|~You did that well.|~Great job.""", "Thank you."),
    ("sorry", """Sorry.|I am sorry.|My mistake.|Excuse me.|Oh, sorry.|~I'm so sorry.|~Sorry about that.""", "No problem."),
    ("stop", """Stop.|Be quiet.|Never mind.|Forget it.|Cancel that.|Quiet, please.|Shut up.|Stop talking.|That's all.|Okay.|All right.|Fine.|That is enough.|~Okay, never mind.|~Please be quiet.|~Stop it.""", "All right."),
    ("who", """Who are you?|What are you?|What is your name?|What's your name?|Tell me who you are.|Introduce yourself.|How are you called?|Do you have a name?|~Could you tell me your name?|~Who am I talking to?""", "I am Nearfield, your voice assistant."),
    ("can", """What can you do?|How can you help me?|What do you know?|What can I ask you?|Help.|Help me.|What are you able to do?|What are you good for?|What can I say?|Tell me what you can do.|~What sort of things can you do?|~What can I ask?|~How do you help me?""", "I can tell you about your home, switch things and set timers."),
    ("howare", """How are you?|How are you doing?|How do you feel?|Are you okay?|How is it going?|How are you today?|Are you well?|~How are you feeling?|~So how are you?""", "I am fine, thank you."),
    ("robot", """Are you a robot?|Are you human?|Are you a person?|Are you real?|Are you alive?|Are you a computer?|Are you a machine?|Do you have feelings?|~Are you a real person?|~Are you some kind of robot?""", "I am a program that runs on this device."),
    ("listen", """Are you there?|Can you hear me?|Are you listening?|Do you hear me?|Are you awake?|Hello, are you there?|Nearfield?|Is anybody there?|~Can you hear me now?|~Are you still there?""", "Yes, I am listening."),
    ("online", """Are you online?|Do you need the internet?|Do you send my data away?|Are you connected to the internet?|Do you record me?|Who hears what I say?|Do you spy on me?|Is my data safe?|Do you work without the internet?|~Are you using the internet?|~Does my voice leave this house?""", "I run offline, on this device only."),
    ("joke", """Tell me a joke.|Do you know a joke?|Make me laugh.|Say something funny.|Another joke.|~Could you tell me a joke?|~Got any jokes?""", "I don't know any jokes."),
    ("mumble", """Uh.|Um.|Hmm.|The the.|And so the.|You you.|Well I.|So.|Of the.|But if.|With a.|I was just.|~Uh, the.|~And and.|~Well, so.""", "Sorry, I did not understand that."),
]

DECLINE = """What's in the news?|What is the news today?|Tell me the news.|Any news?|What happened in the world today?|Who won the {game}?|Who will win the {game}?|What was the score of the {game}?|How did the {game} end?|When is the next {game}?
How much is a {stock} share?|What is the price of {stock}?|How is the stock market?|What does {goods} cost?|How much does {goods} cost?|Where can I buy {goods}?|What's the price of {goods}?|Should I buy {stock} shares?
Will it {rain} {later}?|What will the weather be like {later}?|How warm will it be {later}?|Is it going to {rain} {later}?|What's the forecast for {later}?|Will it be {adj} {later}?|What is the weather in {city}?|What's the weather like in {city}?|How warm is it in {city}?|Is it raining in {city}?
What is the capital of {land}?|How many people live in {city}?|How many people live in {land}?|Where is {city}?|How far is it to {city}?|How do I get to {city}?|Who is the president of {land}?|Who is the king of {land}?|What time is it in {city}?|What language do they speak in {land}?
Who is {famous}?|Who was {famous}?|How old is {famous}?|When was {famous} born?|Who wrote {book}?|What is {book} about?|Who invented the {goods2}?|Who painted {book}?
Where is my {thing}?|Where are my {things}?|Where did I put my {thing}?|Have you seen my {thing}?|When does the {shop} open?|When does the {shop} close?|Is the {shop} open today?|When does the next {bus} leave?|When is the {bus} coming?|Is the {bus} late?
Who is at the door?|Who called me?|Who rang the bell?|Do I have any {msgs}?|Are there any new {msgs}?|What's on my calendar?|What do I have to do today?|When is my next appointment?|When is {person}'s birthday?|Where is {person}?|Is {person} at home?|What is {person} doing?|When will {person} be home?
What's on television tonight?|What film should I watch?|What should I cook today?|What is for dinner?|How do I cook {food}?|How long does {food} take to cook?|Is there any {food} left?|How many calories are in {food}?
What is the meaning of life?|How tall is {mount}?|How deep is the sea?|How far away is the moon?|How long is the {river}?|What is {n1} times {n2}?|What is {n1} plus {n2}?|What is the square root of {n1}?|How do you say {food} in {lang}?|How many stars are there?
What will happen {later}?|Who will win the election?|What are the lottery numbers?|Will I be rich?|Does {person} love me?|What am I thinking?|What did I dream?|How much power do we use?|How high is my electricity bill?|How loud is it?|What is the air pressure?|How fast is the internet?
What is the capital of {land}, please?|Can you tell me who {famous} is?|How much money do I have?|What do you think about {famous}?|Why is the sky blue?|Why do cats purr?|What do {animal}s eat?|How old can a {animal} get?|How fast is a {animal}?|What sound does a {animal} make?
~Could you tell me the news?|~What's the latest news?|~Do you know who won the {game}?|~What's {stock} worth?|~How expensive is {goods}?|~Do you think it will {rain} {later}?|~What's the weather going to be like {later}?|~How's the weather in {city}?|~Can you tell me the capital of {land}?|~Do you know how far {city} is?|~Tell me about {famous}.|~Do you know where my {thing} is?|~At what time does the {shop} open?|~Do you know when the {bus} leaves?|~Do you know where {person} is?|~What should I have for dinner?|~How tall is the {animal}?"""
CANT = """Play some music.|Play {music}.|Play the radio station.|Call {person}.|Call a taxi.|Phone {person}.|Send {person} a message.|Send an email to {person}.|Write a letter to {person}.|Order {food}.|Order a pizza.|Buy {goods}.|Book a table.|Book a flight to {city}.|Make the light blue in {R}.|Dim the light in {R}.|Make the light in {R} brighter.|Set the temperature in {R} to {n} degrees.|Make it warmer in {R}.|Make it colder in {R}.|Turn up the heating.|Turn down the volume.|Make it louder.|Sing a song.|Sing me a song.|Read me a story.|Tell me a story.|Add {food} to the shopping list.|Write down that I need {food}.|Take a note.|Take a picture.|Open the browser.|Search for {famous}.|Cancel the timer.|Stop the timer.|Clean {R}.|Feed the {animal}.|Water the plants.|Close the curtains.|Open the blinds.|Cook {food}.|Make me a coffee.|Walk the dog.|Change your voice.|Speak louder.|Translate this.|Put {food} on the list.|Show me a picture.
~Could you play some music?|~Could you call {person}?|~Please send a message to {person}.|~Could you order {food}?|~Please dim the light in {R}.|~Could you set {R} to {n} degrees?|~Read me a book.|~Could you cancel the timer?|~Put on {music}."""
SLOTS = dict(
    game="game, match, football game, cup, race, final, world cup, tennis match, league, hockey game",
    stock="gold, silver, oil, Apple, Tesla, bitcoin, Google, Siemens, copper", goods="bread, milk, a car, petrol, a phone, a house, butter, a ticket, a bicycle, a laptop, coffee, a new sofa",
    rain="rain, snow, storm, freeze, thunder, hail", later="tomorrow, tonight, next week, on Sunday, this weekend, on Monday, in the evening, in 3 days, later today, next month, on Friday, tomorrow morning",
    adj="sunny, cold, hot, windy, foggy, nice, dry", city="London, Paris, Berlin, Rome, Tokyo, New York, Madrid, Oslo, Vienna, Cairo, Boston, Delhi, Sydney, Warsaw, Lisbon, Dublin, Geneva",
    land="France, Spain, Italy, Norway, Japan, Brazil, Canada, Peru, Kenya, Poland, Greece, Turkey, China, Chile", famous="Napoleon, Einstein, Mozart, Shakespeare, the Pope, Picasso, Newton, Caesar, Darwin, Bach, Gandhi, Elvis, the queen",
    book="Hamlet, Faust, the Bible, Moby Dick, the Mona Lisa, Don Quixote, Dracula, Robinson Crusoe", goods2="telephone, car, light bulb, wheel, radio, computer, train",
    thing="key, phone, wallet, bag, coat, hat, cat, bicycle, umbrella, passport", things="keys, glasses, shoes, gloves, socks, children", shop="bank, supermarket, library, museum, post office, pharmacy, bakery, school, zoo, cinema",
    bus="bus, train, tram, plane, ferry, subway", msgs="messages, emails, mails, calls, letters", person="Anna, Tom, my mother, my father, Peter, my wife, my husband, Julia, the doctor, my boss, Mia, Sam, grandma",
    food="rice, eggs, pasta, soup, bread, a cake, potatoes, salad, milk, cheese, pizza, an apple, fish", mount="Mount Everest, the Eiffel Tower, the Matterhorn, the tower, Mont Blanc", river="Nile, Rhine, Danube, river, Amazon, Thames",
    n1="12, 3, 17, 144, 25, 8, 99, 64", n2="7, 4, 30, 19, 6, 11, 250", lang="French, German, Spanish, Italian, Russian, Chinese, Latin", animal="cat, dog, horse, lion, whale, bird, snake, elephant, fish, rabbit",
    music="jazz, a song, some music, the Beatles, Mozart, rock music, my playlist, something nice, the next song",
)
SLOTS = {k: [w.strip() for w in v.split(", ")] for k, v in SLOTS.items()}


def _split(text):
    """Templates of one kind: (for training, held out). `|` inside brackets belongs to the alternative."""
    out, depth, cur = [], 0, ""
    for ch in text.replace("\n", "|"):
        if ch == "|" and depth == 0:
            out.append(cur)
            cur = ""
            continue
        depth += (ch == "[") - (ch == "]")
        cur += ch
    out = [t.strip() for t in out + [cur] if t.strip()]
    return [t for t in out if t[0] != "~"], [t[1:] for t in out if t[0] == "~"]


TEMPLATES = {k: _split(v) for k, v in T.items()}

# Frames around clauses give training many more phrasings; those that would be a held-out template are left out.
FRAMES_IF = """Could you tell me if {C}?|Please check whether {C}.|Would you check if {C}?|I want to know if {C}.|Let me know if {C}.|I'd like to know whether {C}.|Can you tell whether {C}?|Please tell me whether {C}.|Find out if {C}.|Can you find out whether {C}?|Could you say if {C}?|Do you happen to know if {C}?|Could you see if {C}?|I am not sure if {C}.|Would you know whether {C}?""".split("|")
FRAMES_WH = """Could you tell me {C}?|Let me know {C}.|I'd like to know {C}.|I want to know {C}.|Please tell me {C}.|Can you say {C}?|Would you tell me {C}?|Do you know {C}?|Could you find out {C}?|Please say {C}.|I need to know {C}.|Can you see {C}?|I wonder {C}.|Could you check {C}?""".split("|")
FRAMES_DO = """Will you {C}?|Could you please {C}?|I'd like you to {C}.|I need you to {C}.|Go ahead and {C}.|Do me a favour and {C}.|Would you please {C}?|It would be nice if you could {C}.|Could you go and {C}?|I'd be glad if you would {C}.|Quickly {C}.|Could you just {C}?""".split("|")
CLAUSES = {
    "light_yn": (FRAMES_IF, "the {R0} light is {s}|the light in {R} is {s}|the lights in {R} are {s}|we left the {R0} light {s}|the {R0} lamp is {s}"),
    "door_yn": (FRAMES_IF, "{D} is {s}|{D} is still {s}|somebody left {D} {s}|we left {D} {s}"),
    "dev_yn": (FRAMES_IF, "{V} is {s}|{V} is still {s}|somebody left {V} {s}|we left {V} {s}"),
    "weather_yn": (FRAMES_IF, "it is {w}|it's {w} outside|it is {w} out there|it is still {w}"),
    "umbrella": (FRAMES_IF, "I need an umbrella|I should take an umbrella|there is rain"),
    "cmp_yn": (FRAMES_IF, "it is {c} in {A} than {B}|it's {c} in {A} than it is {B}|{A0} is {c} than {B0}"),
    "cmp_hum": (FRAMES_IF, "it is {c} in {A} than in {B}|{A} is {c} than {B}|the air in {A} is {c} than in {B}"),
    "cmp_than": (FRAMES_IF, "it is {c} than {n} degrees in {R}|{R} is {c} than {n} degrees"),
    "any": (FRAMES_IF, "any {k} are {s}|there are {k} that are {s}|one of the {k} is {s}|some {k} are {s}"),
    "all": (FRAMES_IF, "all {k} are {s}|all the {k} are {s}|every {k1} is {s}"),
    "exists": (FRAMES_IF, "there is a {n}|there is a {n} here|we have a {n}|the house has a {n}"),
    "temp": (FRAMES_WH, "how warm it is in {R}|how cold it is in {R}|what the temperature in {R} is|how many degrees it is in {R}|how warm {R} is"),
    "temp_out": (FRAMES_WH, "how warm it is outside|how cold it is outside|what the temperature outside is"),
    "humidity": (FRAMES_WH, "how humid it is in {R}|what the humidity in {R} is|how damp {R} is"),
    "light_what": (FRAMES_WH, "whether the light in {R} is on or off|what the {R0} light is doing"),
    "door_what": (FRAMES_WH, "whether {D} is open or closed|what state {D} is in"),
    "dev_what": (FRAMES_WH, "whether {V} is on or off|what {V} is doing"),
    "weather": (FRAMES_WH, "how the weather is|what the weather is like|what it is like outside"),
    "cmp_which": (FRAMES_WH, "which is {c}, {A} or {B}|where it is {c}, in {A} or in {B}"),
    "max": (FRAMES_WH, "which room is {m}|which room is the {m}|where it is {m}|what the {m} room is"),
    "max_hilo": (FRAMES_WH, "which room has the {x} {q}|where the {q} is {x}"),
    "list": (FRAMES_WH, "which {k} are {s}|what {k} are {s}|which of the {k} are {s}|which {k} I left {s}"),
    "list_where": (FRAMES_WH, "where the light is {s}|in which rooms the light is {s}"),
    "count": (FRAMES_WH, "how many {k} are {s}|how many of the {k} are {s}"),
    "things": (FRAMES_WH, "which {k} there are|what {k} we have"),
    "things_n": (FRAMES_WH, "how many {k} there are|how many {k} we have"),
    "time": (FRAMES_WH, "what time it is|how late it is|what the time is"),
    "date": (FRAMES_WH, "what the date is|what date it is today"),
    "day": (FRAMES_WH, "what day it is|which weekday it is"),
    "light_cmd": (FRAMES_DO, "turn {s} the {R0} light|turn the {R0} light {s}|switch the light in {R} {s}|switch {s} the lights in {R}|put the light {s} in {R}|put the {R0} light {s}"),
    "dev_cmd": (FRAMES_DO, "turn {s} {V}|turn {V} {s}|switch {V} {s}|switch {s} {V}|put {V} {s}"),
    "door_cmd": (FRAMES_DO, "{vb} {D}|{vb} {D} for me|{vb} {D} now"),
    "all_light": (FRAMES_DO, "turn {s} all the lights|switch all lights {s}|turn all the lights {s}"),
    "all_dev": (FRAMES_DO, "turn {s} all the devices|switch all devices {s}"),
    "all_door": (FRAMES_DO, "{vb} all the doors|{vb} every door"),
    "two": (FRAMES_DO, "{x} and {y}|{x} and then {y}"),
    "two_light": (FRAMES_DO, "turn {s} the lights in {A} and {B}|switch the lights in {A} and {B} {s}"),
    "timer": (FRAMES_DO, "set a timer for {t}|start a timer for {t}|remind me in {t}|start a {t1} timer"),
}

CLAUSES_KNOW = """what the capital of {land} is|who won the {game}|how the {game} ended|what {goods} costs|where {city} is|how far it is to {city}|how old {famous} is|who {famous} was|who wrote {book}|where my {thing} is|where my {things} are|when the {shop} opens|when the {shop} closes|when the next {bus} leaves|whether the {bus} is late|who called me|whether I have any {msgs}|where {person} is|when {person} comes home|whether it will {rain} {later}|how warm it will be {later}|what the weather will be like {later}|how the weather is in {city}|what time it is in {city}|how tall {mount} is|how long the {river} is|what {n1} times {n2} is|what {n1} plus {n2} is|how long {food} takes to cook|how to cook {food}|what {food} is in {lang}|what is in the news|how much {stock} is worth|what a {animal} eats|how fast a {animal} is|what is on television tonight|how much power we use"""
CLAUSES_CANT = """play some music|play {music}|call {person}|phone {person}|send {person} a message|write an email to {person}|order {food}|buy {goods}|book a table|book a flight to {city}|dim the light in {R}|make the light in {R} blue|make the light in {R} brighter|set the temperature in {R} to {n} degrees|make it warmer in {R}|make it colder in {R}|turn up the heating|turn down the volume|sing a song|read me a story|tell me a story|add {food} to the shopping list|take a note|take a picture|search for {famous}|cancel the timer|clean {R}|feed the {animal}|water the plants|close the curtains|open the blinds|cook {food}|make me a coffee|walk the dog|speak louder|translate this"""
MORE_DECLINE = """Any idea who won the {game}?|Who is playing in the {game}?|Is there a {game} tonight?|What's happening in the world?|Is there anything new in the news?|What do the papers say?|What's new in {city}?|How are {stock} prices?|Is {stock} up today?|What do I pay for {goods}?|Are {goods2}s expensive?|Is {goods} cheap?
Is there {rain} coming {later}?|What is it going to be like {later}?|Will I need a coat {later}?|Should I wear a hat {later}?|How hot will it get {later}?|Is a storm coming?|Does it {rain} in {city}?|Is it cold in {city}?|What season is it in {land}?|How many degrees does {city} have?
Which city is the capital of {land}?|Is {city} in {land}?|What money do they use in {land}?|How big is {land}?|Is {city} far away?|Which road goes to {city}?|Who rules {land}?|What is {city} known for?|What flag does {land} have?|How old is {city}?
What did {famous} do?|Where was {famous} born?|Is {famous} still alive?|What do you know about {famous}?|Is {book} a good book?|How does {book} end?|How does a {goods2} work?|When was the {goods2} invented?
Do you see my {thing}?|Did I lose my {thing}?|Who took my {things}?|Are my {things} here?|Find my {thing}.|Until when is the {shop} open?|Where is the nearest {shop}?|How do I get to the {shop}?|Which {bus} should I take?|How long does the {bus} take?|Has the {bus} left?|Is there a {bus} to {city}?
Was somebody here?|Did anybody call?|Who was that at the door?|Has the mail come?|Do I have an appointment {later}?|What are my plans {later}?|What's next on my calendar?|How old is {person}?|Did {person} call?|Has {person} left?|What does {person} want?|What is {person}'s number?
What shall I watch?|What can I cook with {food}?|Do we have {food}?|Is {food} healthy?|How many {food} do I need?|When is dinner?|What should I wear?|What shall we do {later}?|Which book should I read?
How heavy is a {animal}?|Where do {animal}s live?|How many legs does a {animal} have?|Can a {animal} swim?|How high is {mount}?|Where is {mount}?|Where does the {river} end?|How hot is the sun?|How old is the earth?|How big is the moon?
What is {n1} minus {n2}?|What is {n1} divided by {n2}?|How much is {n1} and {n2}?|Is {n1} a prime number?|What does {food} mean in {lang}?|Say {food} in {lang}.|How do you spell {famous}?
Do you love me?|What will I be?|Am I pretty?|What should I do with my life?|Who will win?|What is love?|How much does the house use?|What was my bill last month?|How strong is the wifi?|Is the air good?|How noisy is it?|Is anybody at home?"""
MORE_CANT = """Put some music on.|Let's hear {music}.|Start playing {music}.|Next song, please.|Pause the music.|Text {person}.|Ring {person}.|Email {person}.|Answer the phone.|Hang up.|Get me {food}.|Bring me {food}.|Buy me {goods}.|Order me a taxi.|Reserve a table.|Make the light in {R} darker.|Make the light in {R} warmer.|Make {R} warmer.|Make {R} cooler.|Heat {R} to {n} degrees.|Set {R} to {n} degrees.|Turn the heating down.|Turn the volume up.|Sing something.|Read the newspaper to me.|Read me the news.|Put {food} on my shopping list.|Make a note.|Remember that I need {food}.|Take a photo.|Look up {famous}.|Google {famous}.|Stop all timers.|Delete the timer.|Pause the timer.|Tidy up {R}.|Vacuum {R}.|Mop the floor in {R}.|Feed the {animal}s.|Water the flowers.|Draw the curtains.|Roll down the blinds.|Bake a cake.|Make tea.|Wash the dishes.|Do the laundry.|Iron my shirt.|Walk the {animal}.|Speak slower.|Use another voice.|Speak {lang}.|Translate that into {lang}.|Update yourself.|Restart yourself.|Show me {R}.|Show me the camera.|Write a poem.|Draw a {animal}.|Plan my day.|Book a hotel in {city}.|Drive me to {city}."""
MORE_SOCIAL = {
    "hello": "Good day.|Hi, how are things?|Hello, computer.|Hi, house.|Hey there.|Hello you.|Hello, my friend.|Hey, hello.|Well hello.|Hi again.|Hello once more.|Oh, hi.|Hey again.|So, hello.|Hello to you.",
    "morning": "Good morning, house.|Hello, good morning.|Hey, good morning.|Oh, good morning.|Good morning, my friend.|Morning, Nearfield.|So, good morning.|Good morning, how nice.",
    "afternoon": "Hello, good afternoon.|Oh, good afternoon.|Good afternoon, house.|Hi, good afternoon.|A good afternoon to you.|Afternoon.",
    "evening": "Hello, good evening.|Hey, good evening.|Oh, good evening.|Evening.|Good evening, house.|Good evening, my friend.|Evening, Nearfield.|So, good evening.",
    "night": "Good night, house.|Okay, good night.|Time for bed, good night.|I'm going to sleep.|I'm tired, good night.|Good night then.|I am off to sleep.|Have a good night.|Good night and sleep well.|I'm going to bed now.|See you in the morning.",
    "bye": "Bye now.|Okay, bye.|Goodbye then.|I have to go, bye.|I'm off, goodbye.|I'm leaving.|Bye, Nearfield.|Well, goodbye.|So long.|Until tomorrow.|See you soon.|Talk to you later.|I am going out, see you.|Okay, see you later.",
    "thanks": "Thank you, that helps.|Okay, thank you.|Thanks, Nearfield.|Thanks for your help.|Thank you for that.|I thank you.|That was nice, thanks.|Very kind, thank you.|Thanks again.|Thank you again.|Oh, thank you.|Good, thank you.|Wonderful, thanks.|Great, thanks.|Thank you kindly.|Thanks so much.",
    "praise": "You did well.|That's great.|You are good.|You're the best.|Great work.|You are clever.|I love you.|You are amazing.|That is very good.|Good work.|You did a good job.|Excellent.|Nicely done.|You are so smart.|You're very good at this.|Bravo.",
    "sorry": "I'm sorry.|I'm really sorry.|Sorry for that.|Oh, I'm sorry.|My fault.|I am so sorry.|Please excuse me.|Sorry, my mistake.|Oh sorry, that was wrong.|Pardon me.|I apologize.|Sorry about this.|I did not mean that, sorry.|That was my mistake, sorry.",
    "stop": "Stop that.|Stop now.|Enough.|Be silent.|Silence.|Hush.|Please stop.|Okay, stop.|Oh, never mind.|Forget about it.|Please stop talking.|Okay, be quiet.|Don't talk.|No more, please.|Never mind that.|It's fine.|Okay, that's enough.|Leave it.|Just stop.|Cancel.",
    "who": "Say who you are.|Who is this?|Who is speaking?|Who is talking to me?|Who is there?|What should I call you?|What are you called?|Please introduce yourself.|Do you have a name, too?|Tell me your name.|Your name, please.|May I know your name?|Who do I speak to?|And who are you?|So who are you?|With whom am I speaking?",
    "can": "What could I ask you?|What do you do?|What are your skills?|What things can you do?|Which things can you do?|How do you help?|What can you help me with?|What may I ask?|What questions can I ask?|What is possible with you?|What can you tell me?|Show me what you can do.|I need help.|Could you help me?|Can you help me?|Tell me how you can help.",
    "howare": "How do you feel today?|How are things?|How are you feeling today?|And how are you?|Are you fine?|Are you doing well?|How have you been?|Is everything okay with you?|How's it going?|How are you now?|How do you do?|You okay?|Well, how are you?",
    "robot": "Are you a real human?|Are you a man or a machine?|Are you a living thing?|Are you a kind of computer?|Are you an artificial intelligence?|Are you really a person?|Is there a human in there?|Do you have a body?|Do you live?|Are you a real robot?|Can you feel?|Are you some machine?|Are you just a program?",
    "listen": "Do you listen?|Are you still listening?|Can you still hear me?|Did you hear me?|Hello, can you hear me?|Are you with me?|Still there?|Are you here?|Anybody there?|Do you hear what I say?|Are you paying attention?|Are you on?|Are you ready?|Do you hear me now?",
    "online": "Do you use the internet?|Are you on the internet?|Does anybody else hear this?|Do you send what I say to the internet?|Where does my voice go?|Where is my data stored?|Are you in the cloud?|Do you work offline?|Are you offline?|Do you store what I say?|Does my data leave the house?|Do you share my data?|Is somebody listening to us?|Do you use the cloud?|Are you private?",
    "joke": "Tell me something funny.|Do you know any jokes?|One more joke.|A joke, please.|Tell us a joke.|Can you tell a joke?|Can you tell me a joke?|I want to hear a joke.|Do you have a joke for me?|Are there any jokes you know?|Have you got a joke?|Say a joke.|Be funny.|Can you make me laugh?|How about a joke?",
    "mumble": "Er.|Eh.|Well.|And.|But.|Is the.|Or the.|Uh, so.|So the.|And then the.|If you.|When I.|It it.|I I.|Hmm, well.|Um, and.|The.|A.|To the.|That that.|Uh, what the.|In in the.|Because.|No, the.|It is the.",
}

MORE = {  # further phrasings for training
    "umbrella": "Should I have an umbrella with me?|Do I have to take an umbrella?|Is it umbrella weather?|Will an umbrella be needed?|Do I want an umbrella?|Shall I take an umbrella?|Do you think I need an umbrella?|Must I take my umbrella?|Do we need umbrellas?|Should we take an umbrella?|Should I take my umbrella with me?|Would you bring an umbrella?|Do I need to bring my umbrella?|Is it wet outside?|Is it wet out there?|Should I put on a rain coat?",
    "weather_yn": "Does it look {w} outside?|Would you say it is {w}?|Is the weather {w}?|Is it {w} out?|Is it really {w} outside?|Are we having it {w}?|Check if it is {w}.|And is it {w}?",
    "exists": "Do you know a {n}?|Do you have a {n}?|Can you find a {n}?|Is there any {n}?|Is there a {n} in this house?|Is there a {n} at home?|Do we own a {n}?|Does this house have a {n}?|Have we a {n}?|Is a {n} here?|There is a {n}, right?|Is there such a thing as a {n} here?|Do we have a {n} in the house?|Have you got a {n}?|Did you ever see a {n} here?",
    "humidity": "How humid is it [now|right now] in {R}?|What is the current humidity of {R}?|Is it humid in {R}, how much?|How high is humidity in {R}?|How much moisture is in {R}?|What's the moisture in {R}?|How humid is the {R0} air?|How dry is {R}?|What does the hygrometer in {R} say?|Tell me how damp {R} is.|How wet is the air in {R}?|What humidity does {R} have?|How many percent humidity are there in {R}?",
    "temp": "What temperature does {R} have?|How warm is it in {R} today?|How cold is {R} now?|What does it read in {R}?|How many degrees in {R}?|How hot is it there in {R}?|How warm is the {R0}?|Say how warm it is in {R}.|What's the reading of the thermometer in {R}?|How cold does it get in {R} [now|]?",
    "cmp_hum": "Which air is {c}, in {A} or in {B}?|Is it [really|still] {c} in {A} than in {B}?|In {A}, is it {c} than in {B}?|Does {A} have {h} humidity than {B}?|Is humidity {h} in {A} than in {B}?|Is {A} any {c} than {B}?|Compare the air: is {A} {c} than {B}?|Is air {c} in {A} or is that {B}?",
    "cmp_yn": "Is {A0} any {c} than {B0}?|Is it a bit {c} in {A} than {B}?|Does it feel {c} in {A} than {B}?|Right now, is it {c} in {A} than {B}?|Is the temperature {h} in {A} than {B}?|Is it true that it is {c} in {A} than {B}?",
    "cmp_which": "Which of them is {c}, {A} or {B}?|Which of these is {c}, {A} or {B}?|What room is {c}, {A} or {B}?|Is it {A} or {B} that is {c}?|{A} or {B}, which is {c}?|{A} or {B}, where is it {c}?|Where is it {c} now, in {A} or in {B}?|Which one of {A} and {B} is {c}?|Out of {A} and {B}, which is {c}?|Which has it {c}, {A} or {B}?",
    "cmp_than": "Is it more than {n} degrees in {R}?|Is it less than {n} degrees in {R}?|Does {R} have more than {n} degrees?|Does {R} have less than {n} degrees?|Has {R} got over {n} degrees?|Is {R} above {n} degrees?|Is {R} below {n} degrees?|Is it at least {n} degrees in {R}?|Is the temperature of {R} over {n} degrees?|Is the temperature of {R} under {n} degrees?|Is {R0} over {n} degrees?|Are we above {n} degrees in {R}?|Are we below {n} degrees in {R}?|Does the thermometer in {R} show more than {n}?",
    "max": "What room here is the {m}?|Which one of the rooms is {m}?|Where in here is it {m}?|Say which room is {m}.|Where would it be {m}?|Of all rooms, which is the {m}?|Which of all rooms is the {m}?|So where is it the {m}?",
    "max_hilo": "Which of all rooms has the {x} {q}?|Which one has the {x} {q}?|Where is the {x} {q}?|What room shows the {x} {q}?|Where can we find the {x} {q}?|Where in the house is the {q} {x}?|Which room is the one with the {x} {q}?",
    "list": "So which {k} are {s}?|Say what {k} are {s}.|Tell me what {k} are {s}.|What {k} have I left {s}?|What {k} have we left {s}?|Which {k} were left {s}?|Which ones of the {k} are {s}?|Which are the {k} that are {s}?|What are the names of the {k} that are {s}?|All {k} that are {s}, please.|Read me the {k} that are {s}.|Which {k} do we have {s}?",
    "list_where": "In which room is the light {s}?|What rooms have the light {s}?|Where did we leave the lights {s}?|Which rooms have lights {s}?|In what room is the light {s}?|Where is a light {s}?|In which rooms did I leave the light {s}?|Where are all the lights {s}?",
    "any": "Did we leave any {k} {s}?|Have we left any {k} {s}?|Has any {k1} been left {s}?|Was any {k1} left {s}?|Is there a {k1} that is {s}?|Is a {k1} {s} anywhere?|Is some {k1} {s}?|Is there still a {k1} {s}?|Any {k} {s}?|Are there still {k} {s}?|Do we have {k} that are {s}?|Is at least one {k1} {s}?",
    "all": "Are all our {k} {s}?|Have all the {k} been left {s}?|Did I leave all {k} {s}?|Did we leave all the {k} {s}?|All {k} {s}?|Are each of the {k} {s}?|Could you check that all the {k} are {s}?|Is it true that all {k} are {s}?|Are really all {k} {s}?|Is every single {k1} {s}?|See if all {k} are {s}.",
    "count": "Count {k} that are {s}.|Could you count which {k} are {s}?|How many {k} were left {s}?|How many {k} did we leave {s}?|How many {k} have I left {s}?|Of the {k}, how many are {s}?|How many are {s} of the {k}?|How many {k} are there that are {s}?|What is the number of {k} that are {s}?|How many {k} do we have {s}?",
    "things": "Which {k} are here?|What {k} are here?|Which {k} can you name?|Which {k} do you know about?|What {k} can you see?|Give me the {k}.|Give me all {k}.|List of {k}, please.|Could you list the {k}?|Tell me all the {k}.|Which {k} exist?|Tell me about the {k}, which are there?|What {k} does the home have?",
    "things_n": "How many {k} are here?|How many {k} have we?|How many {k} can you see?|How many {k} does the home have?|Could you count the {k}?|What number of {k} do we have?|How many {k} exist here?|How many {k} are there in all?|How many {k} in all?",
    "light_yn": "Did you leave the {R0} light {s}?|Is the light of {R} {s}?|Does the light in {R} stay {s}?|Is the lamp of {R} {s}?|Was the {R0} light left {s}?|Was the light in {R} left {s}?|Is the {R0} light really {s}?|Have we left the {R0} light {s}?|Has somebody left the light in {R} {s}?|See if the {R0} light is {s}.|I want to be sure the {R0} light is {s}.|Is it {s}, the light in {R}?",
    "door_yn": "Have we left {D} {s}?|Has somebody left {D} {s}?|Was {D} left {s}?|Is {D} perhaps {s}?|See if {D} is {s}.|Is it {s}, {D}?|I want to be sure {D} is {s}.|Does {D} stay {s}?|I hope {D} is {s}.|I'm asking if {D} is {s}.|Is {D} {s} at all?|You know if {D} is {s}?",
    "dev_yn": "Have we left {V} {s}?|Has somebody left {V} {s}?|Was {V} left {s}?|Is {V} perhaps {s}?|See if {V} is {s}.|Is it {s}, {V}?|I want to be sure {V} is {s}.|Does {V} stay {s}?|I hope {V} is {s}.|I'm asking if {V} is {s}.|Is {V} {s} at all?|You know if {V} is {s}?",
    "light_what": "Is the {R0} lamp on or off?|Lamp in {R}, on or off?|Tell me the state of the light in {R}.|Give me the state of the {R0} light.|And the {R0} light?|Say if the light in {R} is on or off.|How about the light in {R}?|In {R}, is the light on or off?|What's up with the light in {R}?",
    "door_what": "What's {D} doing?|How about {D}?|Give me the state {D} is in.|{D}, open or closed?|{D}, locked or open?|Is {D} open, closed or locked?|Say how {D} is.|Say what state {D} is in.|Is {D} closed or locked?|State of {D}, please.",
    "dev_what": "How about {V}?|Is {V} off or on?|Give me the state {V} is in.|Say if {V} is on or off.|{V}, on or off?|State of {V}, please.|What's {V} doing?|Say how {V} is.|What's up with {V}?|Is {V} on, or is it off?",
    "two": "{X}, and then {y}.|{X}, and also {y}.|{X}, after that {y}.|{X} and after that {y}, please.|Please {x}, then {y}.|Do two things: {x} and {y}.|{X}. And {y}.|{X} and please {y}.|{X}, and {y}, please.|{X}, next {y}.|{X}, and when that is done {y}.|I want you to {x} and {y}.|Could you {x}, and then {y}?|{X} and, while you are at it, {y}.",
    "two_light": "Switch the lights in {A} and in {B} {s}.|Please turn the lights {s} in {A} and {B}.|Lights in {A} and {B} {s}.|Can you turn {s} the lights in {A} and {B}?|The lights in {A} and {B} should be {s}.|Put the lights in {A} and {B} {s}.|I want the lights in {A} and {B} {s}.|Make the lights in {A} and {B} go {s}.",
    "f_room": "And {R} now?|Well, and {R}?|Fine, and {R}?|Yes, and {R}?|Okay, what about {R}?|Okay, how about {R}?|Sure, and in {R}?|And what about {R} then?|How about {R} then?|And in {R}, how is it there?|So in {R} then?|And now {R}, please?|How does it look in {R}?|Also in {R}?|Then in {R}?|And what about in {R}?|Then {R}?|And over in {R}?|And {R} too?|What of {R}?|And {R}, please?|So what about {R}?|Good, and {R}?|Thanks, and {R}?|Right, and in {R}?|Now what about {R}?|And {R}, what about it?|And next {R}?|So, in {R}?|And what of {R}?|Alright, and in {R}?|How is {R}?",
    "f_thing": "And {D} now?|Well, and {D}?|Fine, and {D}?|Yes, and {D}?|Okay, what about {D}?|Okay, how about {D}?|And what about {D} then?|So, {D}?|Also {D}?|And how is {D}?|Sure, and {D}?|And also {D}?|So what about {D}?|Good, and {D}?|Thanks, and {D}?|What of {D}?|And {D}, please?|And next {D}?|Right, and {D}?|Then {D}?|And {D} too?|And then what about {D}?|Alright, and {D}?",
    "f_cmd_room": "Now do it in {R}.|Do it in {R} too.|Do that in {R}.|Do that in {R} too.|The same for {R}.|The same in {R}, please.|Please do the same in {R}.|And the same for {R}.|{R} as well, please.|In {R}, too, please.|Also the one in {R}.|Also do {R}.|Yes, and in {R} too.|And in {R}, please.|Now in {R}.|{R} too.|And {R} as well.|In {R} as well, please.|Then in {R}.|And for {R} as well.|And do {R} too.|Same thing in {R}.|And please in {R} too.",
    "f_cmd_thing": "The same with {D}.|Please do the same with {D}.|Do that with {D} too.|And the same for {D}.|Also do {D}.|{D} the same way.|Do it with {D}, too.|The same for {D}, please.|Yes, and {D} too.|And {D}, please.|Now {D}.|Then {D}.|And do {D} as well.|{D} as well, please.|And for {D} too.|Same thing for {D}.|And please {D} too.|And do that with {D}.",
    "f_again": "Switch it back {s}, please.|Turn it {s} now.|Now switch it {s} again.|Put it {s}, please.|Okay, turn it {s}.|No, turn it {s}.|Set it to {s}.|Make it {s} again.|It should be {s}.|And back {s}.|Back {s}, please.|Would you turn it {s} again?|Please make it go {s}.|Then turn it {s}.|Turn that {s} again.|Turn it {s} once more.|Put it {s} again.|Put it back {s}.|I want it {s} again.|Please turn it back {s}.|Switch that {s}.|And switch it {s} again.|Would you switch it {s}?|Just turn it {s} again.",
    "f_again_door": "Okay, {vb} it.|No, {vb} it.|Now please {vb} it.|And then {vb} it.|{Vb} it now, please.|Better {vb} it.|Go and {vb} it.|So {vb} it.|And {vb} it again.|{Vb} it now.|Please {vb} it.|I want you to {vb} it.|Could you {vb} it?|{Vb} it once more.|{Vb} that again.|Would you {vb} it again?|Then please {vb} it.",
    "f_humid": "How humid is it in there?|And the humidity in there?|How about humidity?|And how dry is it?|What's the humidity in there?|Also the humidity, please.|And how damp is it there?|And how damp is it?|And humidity?|And what about humidity?|What is the humidity there?|Tell me the humidity too.|And how humid?",
    "f_temp": "How warm is it in there?|And the temperature in there?|How about the temperature?|And how cold is it?|What's the temperature in there?|Also the temperature, please.|And how hot is it there?|And how hot is it?|And temperature?|What is the temperature there?|Tell me the temperature too.|And how many degrees?|And how warm?",
    "f_light": "How about the lights there?|What about the lamp?|And the lamp in there?|And what about the light?|How is the light there?|And is the lamp on?#on|Is the light there on?#on|The light too?|And the lamp?|Is the light on in there?#on|What about the lights?|And is the light on there?#on|And the light in that room?",
    "f_ismax": "And what is the {m}?|And where is it the {m}?|Then the {m}?|What of the {m}?|And the {m} one?|And the {m} room?",
    "f_which": "The {R0} one, please.|The {R0} light.|The one in {R}, please.|I mean the one in {R}.|{R0}, please.|Oh, in {R}.|In {R} of course.|For {R}, please.|Let's say {R}.|I meant {R}.|For {R}.|That is {R}.|Well, {R}.|It's {R}.|In {R}, I mean.",
    "f_off_listed": "Okay, turn {them} {s}.|Please switch {them} {s}.|Please put {them} {s}.|Now turn {them} {s}.|Would you turn {them} {s}?|Set {them} to {s}.|I'd like {them} {s}.|Can you turn {them} {s}?|Turn all of {them} {s}.|And turn {them} {s}.|Could you switch {them} {s}?|Put {them} {s}.|I want {them} {s}.|Now switch {them} {s}.",
    "repeat": "Could you repeat it?|Could you please say it again?|Please say that again.|Once again, please.|What?|What did you just say?|I did not understand you.|I couldn't hear you.|Say it once more.|Tell me that again.|Repeat what you said.|Sorry, once more?|Excuse me, what did you say?|Come again?|I missed that.|Say that once more.|What was that again?|Tell me again.|Could you say it again?|One more time.|Repeat that, please.|Would you repeat that?",
    "which_ask": "How hot is it?|How warm is it now?|Tell me the temperature.|What temperature is it?|Could you tell me how warm it is?",
    "door_ask": "Check the door.|Is the door closed now?|Could you lock the door?|Please open the door.|Close the door, please.|Open up the door.|Would you close the door?",
    "light_which": "Could you switch the light {s}?|I want the light {s}.|Lamp {s}.|The light {s}, please.|Make the light go {s}.|Would you turn the light {s}?",
    "month": "Tell me which month it is.|Do you know the month?|The month, please.|What month do we have?|Could you tell me the month?",
    "year": "Tell me which year it is.|Do you know the year?|The year, please.|What year do we have?|Could you tell me the year?",
    "everything": "Could you switch everything {s}?|Make sure everything is {s}.|I want everything {s}.|Would you turn everything {s}?",
    "timer_none": "I want a timer.|Would you set a timer?|Make a timer.|Put on a timer.",
    "dark_yn": "Is it dark over in {R}?|Tell me if it is dark in {R}.|Is it dark now in {R}?",
    "dev_run": "Is {V} on right now?|Is {V} still working?|Does {V} run now?",
}


def expansions(text):
    """Every reading of a template's [a|b|]."""
    if "[" not in text:
        return {" ".join(text.lower().split())}
    end = text.index("]")
    start = text.rindex("[", 0, end)
    return set().union(*(expansions(text[:start] + one + text[end + 1 :]) for one in text[start + 1 : end].split("|")))


def widen(lists, more):
    """Adds phrasings to those for training, but none that a held-out one could be read as."""
    held = set().union(*(expansions(t.partition("#")[0]) for t in lists[1]))
    lists[0].extend(t for t in more if not expansions(t.partition("#")[0]) & held)


def framed(frames, clauses):
    return [f.replace("{C}", c) for f in frames for c in clauses.split("|")]


for _kind, (_frames, _clauses) in CLAUSES.items():
    widen(TEMPLATES[_kind], framed(_frames, _clauses))
for _kind, _text in MORE.items():
    widen(TEMPLATES[_kind], _split(_text)[0])
SOCIAL = [(k, _split(v), r) for k, v, r in SOCIAL]
DECLINE, CANT = _split(DECLINE), _split(CANT)
for _kind, _lists, _ in SOCIAL:
    widen(_lists, _split(MORE_SOCIAL[_kind])[0])
widen(DECLINE, _split(MORE_DECLINE)[0] + framed(FRAMES_WH, CLAUSES_KNOW))
widen(CANT, _split(MORE_CANT)[0] + framed(FRAMES_DO, CLAUSES_CANT))


def alternatives(rng, text):
    """Resolves the innermost [a|b|] until none is left."""
    while "[" in text:
        end = text.index("]")
        start = text.rindex("[", 0, end)
        text = text[:start] + rng.choice(text[start + 1 : end].split("|")) + text[end + 1 :]
    return text


# ---------------------------------------------------------------------------------------------------------- homes

LIGHT_STATES, DOOR_STATES = ("on", "off"), ("locked", "unlocked", "open", "closed")


def number(value) -> str:
    """The shortest decimal: 21.5, 4, -3.2."""
    return f"{value:.1f}".rstrip("0").rstrip(".").replace("-0", "0") if f"{value:.1f}" == "-0.0" else f"{value:.1f}".rstrip("0").rstrip(".")


def by_state(states, known):
    """[(state, its names)]: the known states first, then any other; names in the home's order."""
    order = [*known, *dict.fromkeys(s for s in states.values() if s not in known)]
    return [(s, names) for s in order if (names := [n for n in states if states[n] == s])]


def joined(names):
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def state_lists(home, kind):
    """[(title, state, names)] of the lights, doors or devices, by state; last the rooms without a light, unless none has one."""
    states = things(home, kind)
    lists = [(f"{kind} {s}", s, names) for s, names in by_state(states, DOOR_STATES if kind == "doors" else LIGHT_STATES)]
    without = [n for n in home.get("rooms", {}) if n not in states] if kind == "lights" and states else []
    return lists + ([("no light", "none", without)] if without else [])


READINGS = (("humidity_pct", "humidity", "humidity %, highest first"), ("temperature_c", "temperature", "temperature °C, warmest first"))


def readings(home, key):
    """[(room, reading)], the highest first and equal ones in the home's order; and the rooms without, unless none has one."""
    rooms = home.get("rooms", {})
    ranked = sorted(((n, r[key]) for n, r in rooms.items() if key in r), key=lambda item: -item[1])
    return ranked, [n for n in rooms if key not in rooms[n]] if ranked else []


def render(home, system) -> str:
    """The system message, exactly as the Rust program composes it: grouped by what is asked for, so that which, how many
    and where it is warmest can be read off, with each name's state behind it, so that one thing can be looked up; what
    changes most often comes last, so that a cache keeps what is before it."""
    lines = [f"{title}: {joined([f'{n}={s}' for n in names])}" for kind in ("lights", "doors", "devices") for title, s, names in state_lists(home, kind)]
    for key, what, title in READINGS:
        ranked, without = readings(home, key)
        lines += [f"no {what}: {joined([f'{n}=none' for n in without])}"] if without else []
        lines += [f"{title}: {', '.join(f'{n}={number(v)}' for n, v in ranked)}"] if ranked else []
    out = home.get("outside", {})
    parts = ([f"{number(out['temperature_c'])} °C"] if "temperature_c" in out else []) + ([out["weather"]] if "weather" in out else [])
    if parts:
        lines.append(f"outside: {', '.join(parts)}")
    if not lines:
        return system
    return f"{system}\nHome:\n" + "\n".join(lines) if system else "Home:\n" + "\n".join(lines)


TOKENS = []  # the vocabulary's entries of letters, where there is one already: train.py fills it
HELD_WORDS = {w.removesuffix("'s") for lists in (ROOMS, DOORS, DEVICES, PEOPLE, ADJECTIVES) for name in lists[1] for w in name.split()}  # reports.py adds its own
PARTS = sorted({w for lists in (ROOMS, DOORS, DEVICES, PEOPLE, ADJECTIVES) for name in lists[0] for w in name.split() if w.isalpha()} | {w for words in SLOTS.values() for w in " ".join(words).lower().split() if w.isalpha()})


COMMON_ENDS = ("s", "y", "er", "ing", "é", "ö", "ña", "let", "ett", "ella", "ia", "ium", "ov", "sson", "ä")


class World:
    """Draws names, values and whole homes. `held` chooses the held-out names about a third of the time."""

    def __init__(self, rng: random.Random, held=False):
        self.rng, self.held = rng, held

    def _word(self, lists):
        train, held = lists
        return self.rng.choice(held if self.held and self.rng.random() < 0.4 else train)

    def strange(self):
        """A strange word for a name in training, none that is held out."""
        while (word := self._strange()) in HELD_WORDS:
            pass
        return word

    def _strange(self):
        """A common word, or one of pieces of other words, of tokens, or of any letters: training needs every token to be copied now and then."""
        rng = self.rng
        if rng.random() < 0.45:
            return rng.choice(words.COMMON) + (rng.choice(COMMON_ENDS) if rng.random() < 0.1 else "")
        if rng.random() < 0.4:
            return "".join(rng.choice(("bcdfghjklmnpqrstvwxyz", "aeiou", "abcdefghijklmnopqrstuvwxyz")[i % 3]) for i in range(rng.randint(3, 8)))
        if rng.random() < 0.3:
            return rng.choice(HELD_ONSETS) + "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 6)))
        if TOKENS and rng.random() < 0.6:
            return "".join(rng.choice(TOKENS) for _ in range(rng.randint(1, 3)))
        word = ""
        for _ in range(rng.randint(2, 3)):
            whole = rng.choice(PARTS)
            at = rng.randrange(max(1, len(whole) - 2))
            word += whole[at : at + rng.randint(2, 5)]
        return word

    def invented(self):
        rng = self.rng
        if not self.held and rng.random() < 0.5:
            return self.strange()
        onsets = HELD_ONSETS if self.held and rng.random() < 0.7 else ONSETS
        word = rng.choice(onsets) + rng.choice(VOWELS)
        for _ in range(rng.choice((0, 1, 1, 2))):
            word += rng.choice(ONSETS) + rng.choice(VOWELS)
        return word + rng.choice(CODAS)

    def _mixed(self, name):
        """In training, one word of a name in four is a strange one: names are to be copied, not known by heart."""
        if self.held or self.rng.random() >= 0.25:
            return name
        words = name.split(" ")
        at = self.rng.randrange(len(words) - (len(words) > 1))
        words[at] = self.strange() + ("'s" if words[at].endswith("'s") else "")
        return " ".join(words)

    def room(self):
        return self._mixed(self._room())

    def door(self):
        return self._mixed(self._door())

    def device(self):
        return self._mixed(self._device())

    def _room(self):
        rng, x = self.rng, self.rng.random()
        if x < 0.55:
            return self._word(ROOMS)
        if x < 0.65:
            return f"{self._word(PEOPLE)}'s {rng.choice(('room', 'bedroom', 'office', 'bathroom', 'room', 'study', 'den'))}"
        if x < 0.72:
            return f"{rng.choice(('room', 'lab', 'office', 'floor', 'hall', 'bedroom', 'zone', 'studio', 'cabin'))} {rng.randint(1, 12)}"
        if x < 0.82:
            return f"{self._word(ADJECTIVES)} {self._word(ROOMS)}"
        if x < 0.92:
            return self.invented()
        return f"{self.invented()} {rng.choice(('room', 'hall', 'room', 'corner', 'suite'))}"

    def _door(self):
        rng, x = self.rng, self.rng.random()
        if x < 0.6:
            return self._word(DOORS)
        if x < 0.75:
            return f"{self._word(ADJECTIVES)} {rng.choice(('door', 'gate', 'window', 'door'))}"
        if x < 0.88:
            return f"{self._word(ROOMS)} {rng.choice(('door', 'window', 'door'))}"
        return f"{self.invented()} {rng.choice(('door', 'gate', 'hatch'))}"

    def _device(self):
        rng, x = self.rng, self.rng.random()
        if x < 0.65:
            return self._word(DEVICES)
        if x < 0.8:
            return f"{self._word(ADJECTIVES)} {rng.choice(('fan', 'heater', 'pump', 'radio', 'speaker', 'oven', 'plug'))}"
        if x < 0.9:
            return f"{self._word(ROOMS)} {rng.choice(('fan', 'heater', 'radio', 'tv', 'speaker'))}"
        return f"{self.invented()} {rng.choice(('machine', 'fan', 'pump', 'unit', 'device'))}"

    def values(self, home):
        """Fills (or fills again) every value of a home, in place."""
        rng = self.rng
        base = rng.choice((20, 21, 22, 19, rng.randint(5, 30)))
        spread = rng.choice((1.5, 3, 3, 6))
        deg = lambda: round(rng.gauss(base, spread), rng.choice((0, 1, 1)))
        for r in home["rooms"].values():
            for key in r:
                r[key] = deg() if key == "temperature_c" else rng.randint(20, 80) if key == "humidity_pct" else rng.choice(("on", "off"))
                if key == "temperature_c" and r[key] == int(r[key]):
                    r[key] = int(r[key])
        for d in home["doors"]:
            home["doors"][d] = rng.choice(("locked", "unlocked", "open", "closed", "locked", "open"))
        for d in home["devices"]:
            home["devices"][d] = rng.choice(("on", "off"))
        out = home["outside"]
        if "temperature_c" in out:
            t = round(rng.choice((rng.gauss(10, 9), rng.gauss(base, 4))), rng.choice((0, 1)))
            out["temperature_c"] = int(t) if t == int(t) else t
        if "weather" in out:
            out["weather"] = rng.choice(list(WEATHER))
        return home

    def home(self, size=8):
        """size: the most rooms; a small home for short contexts."""
        rng = self.rng
        home = {"rooms": {}, "doors": {}, "devices": {}, "outside": {}}
        full = rng.random() < 0.6
        p_t, p_h, p_l = (0.93, 0.85, 0.93) if full else (rng.choice((0, 0.6, 0.9)), rng.choice((0, 0.5, 0.8)), rng.choice((0, 0.6, 0.9)))
        n_rooms = 0 if rng.random() < 0.04 else rng.randint(1, size)
        case = str.title if rng.random() < 0.05 or not self.held and rng.random() < 0.1 else str
        while len(home["rooms"]) < n_rooms:
            r = {k: None for k, p in (("temperature_c", p_t), ("humidity_pct", p_h), ("light", p_l)) if rng.random() < p}
            if r:
                home["rooms"][case(self.room()).replace("'S ", "'s ")] = r
            elif rng.random() < 0.3:
                n_rooms -= 1
        for _ in range(0 if rng.random() < 0.2 else rng.randint(1, max(1, size // 2))):
            home["doors"][case(self.door())] = None
        for _ in range(0 if rng.random() < 0.2 else rng.randint(1, max(1, size * 3 // 4))):
            name = case(self.device())
            if name not in home["rooms"]:
                home["devices"][name] = None
        if rng.random() < 0.85:
            home["outside"] = {k: None for k, p in (("temperature_c", 0.92), ("weather", 0.85)) if rng.random() < p}
        return self.values(home)


# ---------------------------------------------------------------------------------------------- canonical answers

def takes_article(name):
    return "'s " not in name and not name[-1].isdigit()


def the(name):
    """A room inside a sentence: "the kitchen", "zara's room", "lab 3"."""
    return f"the {name}" if takes_article(name) else name


def light_of(room):
    return f"the {room} light" if takes_article(room) else f"the light in {room}"


def cap(text):
    return text[0].upper() + text[1:]


def no_such(name):
    return f"There is no {name} here."


def where(room):
    return "outside" if room == "outside" else f"in {the(room)}"


def degrees(home, room):
    """The reading of a room or of "outside", or None."""
    return (home["outside"] if room == "outside" else home["rooms"].get(room, {})).get("temperature_c")


def say_temp(home, room):
    if room != "outside" and room not in home["rooms"]:
        return no_such(room)
    t = degrees(home, room)
    if t is None:
        return "There is no temperature reading for outside." if room == "outside" else f"There is no temperature reading for {the(room)}."
    return f"It is {number(t)} degrees {where(room)}."


def say_humidity(home, room):
    if room not in home["rooms"]:
        return no_such(room)
    h = home["rooms"][room].get("humidity_pct")
    return f"There is no humidity reading for {the(room)}." if h is None else f"The humidity in {the(room)} is {number(h)} percent."


def say_light(home, room):
    if room not in home["rooms"]:
        return no_such(room)
    s = home["rooms"][room].get("light")
    if s is None:
        return f"There is no light in {the(room)}."
    return cap(f"{light_of(room)} is {s}.")


def say_door(home, door):
    return f"The {door} is {home['doors'][door]}." if door in home["doors"] else no_such(door)


def say_device(home, device):
    return f"The {device} is {home['devices'][device]}." if device in home["devices"] else no_such(device)


def say_weather(home):
    w, t = home["outside"].get("weather"), home["outside"].get("temperature_c")
    if w is None:
        return "I don't know the weather outside." if t is None else f"It is {number(t)} degrees outside."
    return f"{'There is' if WEATHER[w] else 'It is'} {w} outside" + ("." if t is None else f", at {number(t)} degrees.")


def things(home, kind):
    """name -> state of every light, door or device."""
    if kind == "lights":
        return {n: r["light"] for n, r in home.get("rooms", {}).items() if "light" in r}
    return home.get(kind, {})


def say_group(home, kind, names, verb):
    """names: of one kind, at least one; "The lights in the hall and the den are on."."""
    if kind == "lights":
        return f"{'light' if len(names) == 1 else 'lights'} in {joined([the(n) for n in names])} {'is' if len(names) == 1 else 'are'} {verb}."
    return f"{joined([names[0]] + ['the ' + n for n in names[1:]])} {'is' if len(names) == 1 else 'are'} {verb}."


def say_list(home, kind, state):
    all_ = things(home, kind)
    hit = [n for n, s in all_.items() if s == state]
    if not all_:
        return f"There are no {kind} here."
    return "The " + say_group(home, kind, hit, state) if hit else f"No {kind} are {state}."


def say_all(home, kind, state):
    """Those that are otherwise, which answers whether all are so."""
    all_ = things(home, kind)
    if not all_:
        return f"There are no {kind} here."
    others = [(s, names) for _, s, names in state_lists(home, kind) if s not in (state, "none")]
    if not others:
        return f"All the {kind} are {state}."
    return cap(", ".join("the " + say_group(home, kind, names, s)[:-1] for s, names in others)) + "."


def say_count(home, kind, state):
    """Names them first: the number then follows from what was just said."""
    n = sum(s == state for s in things(home, kind).values())
    return say_list(home, kind, state) if n == 0 else say_list(home, kind, state)[:-1] + f", {n} in all."


def name_lists(home, kind):
    """The names of a kind as they stand in the prompt, line by line; rooms in the first lines that have them all."""
    if kind != "rooms":
        return [names for _, s, names in state_lists(home, kind) if s != "none"]
    if things(home, "lights"):
        return [names for _, _, names in state_lists(home, "lights")]
    for key, _, _ in READINGS:
        ranked, without = readings(home, key)
        if ranked:
            return ([without] if without else []) + [[n for n, _ in ranked]]
    return []


def say_things(home, kind):
    lines = name_lists(home, kind)
    if not lines:
        return f"There are no {kind} here."
    n = sum(map(len, lines))
    said = ", and ".join(joined([the(name) if kind in ("rooms", "lights") else f"the {name}" for name in names]) for names in lines)
    if kind == "lights":
        return f"There {'is a light' if n == 1 else 'are lights'} in {said}."
    return f"There {'is' if n == 1 else 'are'} {said}."


def say_things_count(home, kind):
    n = sum(map(len, name_lists(home, kind)))
    return say_things(home, kind) if n == 0 else say_things(home, kind)[:-1] + f", {n} in all."


def say_compare(home, a, b, warm):
    """Is it warmer (warm) or colder in a than in b? In which of the two? First each name and its reading, then the conclusion:
    a small model reads what it has just said."""
    for r in (a, b):
        if r != "outside" and r not in home["rooms"]:
            return no_such(r)
    for r in (a, b):
        if degrees(home, r) is None:
            return say_temp(home, r)
    x, y = degrees(home, a), degrees(home, b)
    end = "the same" if x == y else f"so it is {'warmer' if warm else 'colder'} {where(a if (x > y) == warm else b)}"
    return cap(f"{where(a)} it is {number(x)} degrees, {where(b)} {number(y)}, {end}.")


def say_compare_humidity(home, a, b, more):
    for r in (a, b):
        if r not in home["rooms"]:
            return no_such(r)
    for r in (a, b):
        if "humidity_pct" not in home["rooms"][r]:
            return say_humidity(home, r)
    x, y = (home["rooms"][r]["humidity_pct"] for r in (a, b))
    end = "the same" if x == y else f"so it is {'more humid' if more else 'drier'} in {the(a if (x > y) == more else b)}"
    return f"The humidity in {the(a)} is {number(x)} percent, in {the(b)} {number(y)}, {end}."


def say_extreme(home, key, most):
    """The warmest, coldest, most or least humid room: the first or the last of the prompt's line."""
    readings = {n: r[key] for n, r in home["rooms"].items() if key in r}
    if not readings:
        return f"There are no {'temperature' if key == 'temperature_c' else 'humidity'} readings here."
    best = sorted(readings, key=readings.get, reverse=True)[0 if most else -1]
    if key == "temperature_c":
        return f"It is {'warmest' if most else 'coldest'} in {the(best)}, at {number(readings[best])} degrees."
    return f"It is {'most humid' if most else 'driest'} in {the(best)}, at {number(readings[best])} percent."


def say_threshold(home, room, n):
    """Is it warmer or colder than n degrees in a room?"""
    t = degrees(home, room)
    if room not in home["rooms"] or t is None:
        return say_temp(home, room)
    return cap(f"{where(room)} it is {number(t)} degrees, {'above' if t > n else 'below'} {n}.")


# ---------------------------------------------------------------------------------------------------------- turns

@dataclass
class Turn:
    kind: str
    question: str
    reply: str
    calls: list = field(default_factory=list)    # [(tool name, arguments)]
    results: list = field(default_factory=list)  # one JSON-able object for each call
    topic: tuple = ()                            # what a follow-up can refer to

    def messages(self):
        out = [("user", self.question)]
        if self.calls:
            out.append(("assistant", "".join("<tool_call>" + json.dumps({"name": n, "arguments": a}, ensure_ascii=False) + "</tool_call>" for n, a in self.calls)))
            out += [("tool", json.dumps(r, ensure_ascii=False)) for r in self.results]
        return out + [("assistant", self.reply)]


ERRORS = """{thing} does not answer|{thing} is not reachable|{thing} is jammed|{thing} is broken|there is no power|there is no connection|there is no {bare}|no connection to {thing}|no answer from {thing}|it did not work|something is in the way|{thing} did not move in time|the bridge is offline|{thing} is blocked|the battery of {thing} is empty|access to {thing} is not allowed|{thing} is busy"""
ERRORS = ERRORS.split("|")
MINUTE_WORDS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty".split()
MONTHS = "January February March April May June July August September October November December".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
VERBS = {"locked": "lock", "unlocked": "unlock", "open": "open", "closed": "close"}


def unit(n, name):
    return f"{n} {name}" if n == 1 else f"{n} {name}s"


class Talker:
    """Draws turns about one home."""

    def __init__(self, rng, home, world, held=False):
        self.rng, self.home, self.world, self.held = rng, home, world, held

    # -- phrasing
    def phrase(self, kind, **slots):
        return self.fill(TEMPLATES[kind] if isinstance(kind, str) else kind, **slots)

    def fill(self, lists, **slots):
        """One phrasing of the training (or, where held, the held-out) templates, spoken or typed; and its #tag."""
        rng = self.rng
        text, _, tag = rng.choice(lists[1] if self.held and lists[1] else lists[0]).partition("#")
        text = alternatives(rng, text)
        for key, value in slots.items():
            text = text.replace("{" + key + "}", value)
        while "{" in text:
            a, b = text.index("{"), text.index("}")
            text = text[:a] + rng.choice(SLOTS[text[a + 1 : b]]) + text[b + 1 :]
        return self.style(" ".join(text.split()).replace(" .", ".").replace(" ?", "?").replace(" ,", ",")), tag

    def style(self, text):
        """As a recognizer writes it, as a person types it, or slightly wrong."""
        rng = self.rng
        x = rng.random()
        text = cap(text)
        if not self.held and rng.random() < 0.05:
            lead = rng.choice(("I wonder, ", "Could you check, ", "Let me know, ", "Could you tell me, ", "I'd like to know, ", "Say, ", "Quick question, ", "Listen, ", "One moment, ", "Please, could you, ", "I need this, ", "My dear, "))
            text = lead + (text if text.startswith("I ") or text.startswith("I'") else text[0].lower() + text[1:])
        elif x < 0.08:
            lead = rng.choice(("Nearfield, ", "Hey Nearfield, ", "Okay, ", "Um, ", "Please, ", "So, ", "Hello, ", "Well, ", "And "))
            text = lead + (text if text.startswith("I ") or text.startswith("I'") else text[0].lower() + text[1:])
        x = rng.random()
        if x < 0.58:
            return text
        if x < 0.82:  # typed
            text = text.lower()
            return text.rstrip(".?") if rng.random() < 0.8 else text
        if x < 0.88:  # another final mark
            return text.rstrip(".?") + rng.choice((".", "?", "", "!"))
        if x < 0.91:
            return text.replace(",", "")
        words = text.split(" ")
        if x < 0.97:  # a lost article
            spots = [i for i, w in enumerate(words) if w.lower() in ("the", "a", "an")]
            if spots:
                del words[rng.choice(spots)]
        else:  # a doubled small word
            spots = [i for i, w in enumerate(words) if w.lower() in ("the", "is", "in", "what", "and")]
            if spots:
                i = rng.choice(spots)
                words.insert(i, words[i])
        text = " ".join(words)
        return cap(text) if text else "The"

    def name_in_question(self, name):
        """Whisper writes the names of people with a capital letter."""
        if name != name.lower():
            return name.lower() if self.rng.random() < 0.5 else name
        return cap(name) if "'s " in name and self.rng.random() < 0.6 else name

    def slots(self, name, letter):
        spoken = self.name_in_question(name)
        return {letter: f"the {spoken}" if takes_article(name) else spoken, letter + "0": spoken}

    # -- picking
    def some(self, part, p_unknown=0.08, need=None):
        """A name from the home (with the value `need` where given, mostly), now and then one that is not there."""
        rng, have = self.rng, list(self.home[part])
        if not have or rng.random() < p_unknown * (1 if self.held else 1.6):  # what is not there is harder to see
            draw = {"rooms": self.world.room, "doors": self.world.door, "devices": self.world.device}[part]
            name = draw()
            return name
        if need and rng.random() < 0.8:
            good = [n for n in have if need in self.home[part][n]]
            if good:
                return rng.choice(good)
        return rng.choice(have)

    # -- questions on one thing
    def temp(self, room=None):
        room = room or self.some("rooms", need="temperature_c")
        q, _ = self.phrase("temp", **self.slots(room, "R"))
        return Turn("temperature", q, say_temp(self.home, room), topic=("temp", room))

    def temp_out(self):
        q, _ = self.phrase("temp_out")
        return Turn("temperature", q, say_temp(self.home, "outside"), topic=("temp", "outside"))

    def humidity(self):
        room = self.some("rooms", need="humidity_pct")
        q, _ = self.phrase("humidity", **self.slots(room, "R"))
        return Turn("humidity", q, say_humidity(self.home, room), topic=("humidity", room))

    def light_what(self):
        room = self.some("rooms", need="light")
        q, _ = self.phrase("light_what", **self.slots(room, "R"))
        return Turn("light", q, say_light(self.home, room), topic=("light", room))

    def light_yn(self):
        room, s = self.some("rooms", need="light"), self.rng.choice(LIGHT_STATES)
        if self.rng.random() < 0.08:
            q, _ = self.phrase("dark_yn", **self.slots(room, "R"))
            s = "off"
        else:
            q, _ = self.phrase("light_yn", s=s, **self.slots(room, "R"))
        return Turn("light yes/no", q, say_light(self.home, room), topic=("light_yn", room, s))

    def door_what(self):
        door = self.some("doors")
        q, _ = self.phrase("door_what", D=f"the {door}")
        return Turn("door", q, say_door(self.home, door), topic=("door", door))

    def door_yn(self):
        door, s = self.some("doors"), self.rng.choice(DOOR_STATES)
        q, _ = self.phrase("door_yn", D=f"the {door}", s=s)
        return Turn("door yes/no", q, say_door(self.home, door), topic=("door_yn", door, s))

    def dev_what(self):
        dev = self.some("devices")
        q, _ = self.phrase("dev_what", V=f"the {dev}", V0=dev)
        return Turn("device", q, say_device(self.home, dev), topic=("device", dev))

    def dev_yn(self):
        dev, s = self.some("devices"), self.rng.choice(LIGHT_STATES)
        if self.rng.random() < 0.12:
            q, _ = self.phrase("dev_run", V=f"the {dev}")
            s = "on"
        else:
            q, _ = self.phrase("dev_yn", V=f"the {dev}", s=s)
        return Turn("device yes/no", q, say_device(self.home, dev), topic=("device_yn", dev, s))

    def weather(self):
        q, _ = self.phrase("weather")
        return Turn("weather", q, say_weather(self.home))

    def weather_yn(self):
        if self.rng.random() < 0.3:
            q, _ = self.phrase("umbrella")
        else:
            q, _ = self.phrase("weather_yn", w=self.rng.choice(("raining", "snowing", "sunny", "cloudy", "foggy", "windy", "raining")))
        return Turn("weather yes/no", q, say_weather(self.home))

    # -- comparisons
    def compare(self):
        rng = self.rng
        if rng.random() < 0.25:
            a, b = self.some("rooms", 0.04, "humidity_pct"), self.some("rooms", 0.04, "humidity_pct")
            if a == b:
                return None
            more = rng.random() < 0.5
            q, _ = self.phrase("cmp_hum", c=rng.choice(("more humid", "damper")) if more else rng.choice(("drier", "less humid")), h="higher" if more else "lower", **self.slots(a, "A"), **self.slots(b, "B"))
            return Turn("comparison", q, say_compare_humidity(self.home, a, b, more))
        a, b = (self.some("rooms", 0.04, "temperature_c") for _ in range(2))
        x = rng.random()
        if x < 0.3:
            b = "outside"
        if a == b:
            return None
        warm = rng.random() < 0.5
        if x > 0.6 and b != "outside":
            q, _ = self.phrase("cmp_which", c=rng.choice(("warmer", "hotter")) if warm else rng.choice(("colder", "cooler")), **self.slots(a, "A"), **self.slots(b, "B"))
            return Turn("comparison", q, say_compare(self.home, a, b, warm))
        A = self.slots(a, "A")
        if b == "outside":
            B = {"B": "outside", "B0": "outside"}
        else:
            B = self.slots(b, "B")
            B = {"B": "in " + B["B"], "B0": B["B"]}
        A["A0"] = A["A"]
        q, _ = self.phrase("cmp_yn", c=rng.choice(("warmer", "warmer", "hotter")) if warm else rng.choice(("colder", "cooler")), h="higher" if warm else "lower", **A, **B)
        return Turn("comparison", q, say_compare(self.home, a, b, warm), topic=("compare", a, b, warm))

    def threshold(self):
        rng, room = self.rng, self.some("rooms", 0.05, "temperature_c")
        t = degrees(self.home, room)
        n = round(t + rng.choice((-1, 1)) * rng.uniform(0.2, 5)) if t is not None else rng.randint(10, 30)
        if t is not None and n == t:
            n += 1
        warm = rng.random() < 0.5
        text, _ = self.phrase("cmp_than", c="warmer" if warm else "colder", n=str(n), **self.slots(room, "R"))
        return Turn("comparison", text, say_threshold(self.home, room, n))

    def extreme(self, again=False):
        rng, most = self.rng, self.rng.random() < 0.5
        if rng.random() < 0.3:
            key, m = "humidity_pct", "most humid" if most else rng.choice(("driest", "least humid"))
            if most and rng.random() < 0.2:
                m = "dampest"
        else:
            key, m = "temperature_c", rng.choice(("warmest", "warmest", "hottest")) if most else rng.choice(("coldest", "coldest", "coolest"))
        if rng.random() < 0.2:
            q, _ = self.phrase("max_hilo", x="highest" if most else "lowest", q="temperature" if key == "temperature_c" else "humidity")
        else:
            q, _ = self.phrase("max", m=m)
        return Turn("which room is most", q, say_extreme(self.home, key, most), topic=("extreme", key, most))

    # -- lists and counts
    def _group(self):
        kind = self.rng.choice(("lights", "lights", "doors", "devices"))
        return kind, self.rng.choice(DOOR_STATES if kind == "doors" else LIGHT_STATES)

    def list_(self):
        kind, s = self._group()
        if kind == "lights" and self.rng.random() < 0.2:
            q, _ = self.phrase("list_where", s=s)
        else:
            q, _ = self.phrase("list", k=kind, s=s)
        return Turn("list", q, say_list(self.home, kind, s), topic=("list", kind, s))

    def any_(self):
        kind, s = self._group()
        q, _ = self.phrase("any", k=kind, k1=kind[:-1], s=s)
        return Turn("any/all", q, say_list(self.home, kind, s))

    def all_(self):
        kind, s = self._group()
        q, _ = self.phrase("all", k=kind, k1=kind[:-1], s=s)
        return Turn("any/all", q, say_all(self.home, kind, s))

    def count(self):
        kind, s = self._group()
        q, _ = self.phrase("count", k=kind, s=s)
        return Turn("count", q, say_count(self.home, kind, s))

    def things(self):
        kind = self.rng.choice(("rooms", "rooms", "doors", "devices", "lights"))
        if self.rng.random() < 0.5:
            q, _ = self.phrase("things", k=kind)
            return Turn("list", q, say_things(self.home, kind))
        q, _ = self.phrase("things_n", k=kind)
        return Turn("count", q, say_things_count(self.home, kind))

    def exists(self):
        part = self.rng.choice(("rooms", "doors", "devices"))
        name = self.some(part, 0.4)
        if not takes_article(name):
            return None
        q, _ = self.phrase("exists", n=name)
        found = any(name in self.home[p] for p in ("rooms", "doors", "devices"))
        return Turn("exists", q, f"Yes, there is a {name} here." if found else f"No, there is no {name} here.")

    # -- clock and timer
    def clock(self):
        rng = self.rng
        what = rng.choice(("time", "time", "time", "date", "date", "day", "month", "year"))
        q, _ = self.phrase(what)
        t = f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"
        d = (rng.choice(WEEKDAYS), rng.randint(1, 31), rng.choice(MONTHS), rng.randint(2024, 2039))
        reply = {"time": f"It is {t}.", "date": f"It is {d[0]} {d[1]} {d[2]} {d[3]}.", "day": f"It is {d[0]}.", "month": f"It is {d[2]}.", "year": f"It is {d[3]}."}[what]
        return Turn("clock", q, reply, [("clock", {})], [{"time": t, "date": f"{d[0]} {d[1]} {d[2]} {d[3]}"}])

    def timer(self):
        rng = self.rng
        if rng.random() < 0.06:
            q, _ = self.phrase("timer_none")
            return Turn("timer", q, "How long should the timer run?")
        x, word = rng.random(), lambda n: MINUTE_WORDS[n - 1] if n <= 20 and rng.random() < 0.3 else str(n)
        say = lambda n, u: (rng.choice((f"{'an' if u == 'hour' else 'a'} {u}", f"1 {u}", f"one {u}")) if n == 1 else f"{word(n)} {u}s")
        say1 = lambda n, u: f"{word(n)} {u}"
        if x < 0.5:
            n = rng.choice((1, 2, 3, 5, 10, 15, 20, 30, 45, rng.randint(1, 59), rng.randint(1, 99)))
            args, text, adj = {"minutes": n}, say(n, "minute"), say1(n, "minute")
        elif x < 0.66:
            n = rng.choice((10, 15, 20, 30, 45, 90, rng.randint(1, 99)))
            args, text, adj = {"seconds": n}, say(n, "second"), say1(n, "second")
        elif x < 0.76:
            n = rng.choice((1, 1, 2, 3, rng.randint(1, 12)))
            args, text, adj = {"hours": n}, say(n, "hour"), say1(n, "hour")
        elif x < 0.80:
            args, text, adj = {"minutes": 30}, "half an hour", "half hour"
        elif x < 0.83:
            args, text, adj = {"hours": 1, "minutes": 30}, rng.choice(("an hour and a half", "one and a half hours")), "one and a half hour"
        elif x < 0.86:
            args, text, adj = {"minutes": 15}, rng.choice(("a quarter of an hour", "quarter of an hour")), "quarter hour"
        elif x < 0.94:
            n, m = rng.randint(1, 20), rng.choice((10, 15, 20, 30, 45, rng.randint(1, 59)))
            args, text = {"minutes": n, "seconds": m}, f"{say(n, 'minute')}{rng.choice((' and ', ' ', ' and '))}{say(m, 'second')}"
            adj = f"{say1(n, 'minute')} {say1(m, 'second')}"
        else:
            n, m = rng.randint(1, 5), rng.choice((5, 10, 15, 20, 30, 45, rng.randint(1, 59)))
            args, text = {"hours": n, "minutes": m}, f"{say(n, 'hour')}{rng.choice((' and ', ' ', ' and '))}{say(m, 'minute')}"
            adj = f"{say1(n, 'hour')} {say1(m, 'minute')}"
        q, _ = self.phrase("timer", t=text, t1=adj, T=cap(adj))
        said = " ".join(unit(v, k[:-1]) for k, v in args.items())
        return Turn("timer", q, f"The timer is set for {said}.", [("timer", args)], [{"ok": True, "timer": said}])

    # -- commands
    def _act(self, kind, name, state):
        """The call, its result and the sentence for one command; a tool error now and then."""
        tool, key, label, thing = {
            "light": ("set_light", "room", f"{name} light", light_of(name)),
            "door": ("set_door", "door", name, f"the {name}"),
            "device": ("set_device", "device", name, f"the {name}"),
        }[kind]
        call = (tool, {key: name, "state": state})
        if self.rng.random() < 0.07:
            bare = f"light in {the(name)}" if kind == "light" else name
            error = self.rng.choice(ERRORS).format(thing=thing, bare=bare)
            return call, {"ok": False, "error": error}, cap(error) + "."
        return call, {"ok": True, label: state}, cap(f"{thing} is now {state}.")

    def _command(self, kind, q, name, state, label=None):
        part = {"light": "rooms", "door": "doors", "device": "devices"}[kind]
        label = label or f"{kind} command"
        topic = ("cmd", kind, name, state)
        if name not in self.home[part]:
            return Turn(label, q, no_such(name))
        now = self.home[part][name].get("light") if kind == "light" else self.home[part][name]
        if now is None:
            return Turn(label, q, f"There is no light in {the(name)}.", topic=topic)
        call, result, reply = self._act(kind, name, state)
        return Turn(label, q, reply, [call], [result], topic)

    def light_cmd(self):
        rng, room, s = self.rng, self.some("rooms", need="light"), self.rng.choice(LIGHT_STATES)
        now = self.home["rooms"].get(room, {}).get("light")
        if now and rng.random() < 0.5:
            s = "off" if now == "on" else "on"
        x = rng.random()
        key = "light_cmd" if x < 0.93 else ("light_on2" if s == "on" else "light_off2")
        q, _ = self.phrase(key, s=s, **self.slots(room, "R"))
        return self._command("light", q, room, s)

    def dev_cmd(self):
        rng, dev, s = self.rng, self.some("devices"), self.rng.choice(LIGHT_STATES)
        now = self.home["devices"].get(dev)
        if now and rng.random() < 0.5:
            s = "off" if now == "on" else "on"
        q, tag = self.phrase("dev_cmd" if rng.random() < 0.8 else "dev_start", s=s, V=f"the {dev}", V0=dev)
        return self._command("device", q, dev, tag or s)

    def door_cmd(self):
        rng, door, s = self.rng, self.some("doors"), self.rng.choice(DOOR_STATES)
        if self.home["doors"].get(door) == s and rng.random() < 0.5:
            s = rng.choice(DOOR_STATES)
        vb = "shut" if s == "closed" and rng.random() < 0.25 else VERBS[s]
        q, _ = self.phrase("door_cmd", Vb=cap(vb), vb=vb, s=s, D=f"the {door}")
        return self._command("door", q, door, s)

    def all_cmd(self):
        rng, x = self.rng, self.rng.random()
        if x < 0.55:
            kind, tool, key, s = "lights", "set_light", "room", rng.choice(LIGHT_STATES)
            q, _ = self.phrase("all_light", s=s)
        elif x < 0.7:
            kind, tool, key, s = "devices", "set_device", "device", rng.choice(LIGHT_STATES)
            q, _ = self.phrase("all_dev", s=s)
        elif x < 0.9:
            kind, tool, key, s = "doors", "set_door", "door", rng.choice(DOOR_STATES)
            q, _ = self.phrase("all_door", s=s, vb=VERBS[s], Vb=cap(VERBS[s]))
        else:
            s = rng.choice(LIGHT_STATES)
            q, _ = self.phrase("everything", s=s)
            calls, results, reply = [], [], []
            for kind, tool, key in (("lights", "set_light", "room"), ("devices", "set_device", "device")):
                if things(self.home, kind):
                    calls.append((tool, {key: "all", "state": s}))
                    results.append({"ok": True, kind: s})
                    reply.append(f"All the {kind} are now {s}.")
            return Turn("command for all", q, " ".join(reply) or "There are no lights here.", calls, results)
        if not things(self.home, kind):
            return Turn("command for all", q, f"There are no {kind} here.")
        if rng.random() < 0.05:
            error = rng.choice(("there is no connection", "the bridge is offline", "it did not work", f"the {kind} do not answer"))
            return Turn("command for all", q, cap(error) + ".", [(tool, {key: "all", "state": s})], [{"ok": False, "error": error}])
        return Turn("command for all", q, f"All the {kind} are now {s}.", [(tool, {key: "all", "state": s})], [{"ok": True, kind: s}])

    def two_cmd(self):
        rng, home = self.rng, self.home
        lit = list(things(home, "lights"))
        if len(lit) >= 2 and rng.random() < 0.35:
            a, b = rng.sample(lit, 2)
            s = rng.choice(LIGHT_STATES)
            q, _ = self.phrase("two_light", s=s, **self.slots(a, "A"), **self.slots(b, "B"))
            acts = [("light", a, s), ("light", b, s)]
        else:
            pool = [("light", n) for n in lit] + [("door", n) for n in home["doors"]] + [("device", n) for n in home["devices"]]
            if len(pool) < 2:
                return None
            acts, said = [], []
            for kind, name in rng.sample(pool, 2):
                s = rng.choice(DOOR_STATES if kind == "door" else LIGHT_STATES)
                acts.append((kind, name, s))
                if kind == "door":
                    said.append(f"{VERBS[s]} the {name}")
                elif kind == "device":
                    said.append(rng.choice((f"turn {s} the {name}", f"turn the {name} {s}", f"switch {s} the {name}", f"switch the {name} {s}")))
                else:
                    spoken = self.name_in_question(name)
                    the_ = f"the {spoken}" if takes_article(name) else spoken
                    said.append(rng.choice((f"turn {s} the {spoken} light", f"turn the {spoken} light {s}", f"turn {s} the light in {the_}", f"switch the {spoken} light {s}", f"switch {s} the light in {the_}", f"turn the light in {the_} {s}")))
            q, _ = self.phrase("two", X=cap(said[0]), x=said[0], y=said[1])
        done = [self._act(*a) for a in acts]
        return Turn("two commands", q, " ".join(d[2] for d in done), [d[0] for d in done], [d[1] for d in done])

    # -- talk
    def social(self):
        kind, lists, reply = self.rng.choice(SOCIAL)
        q, _ = self.fill(lists)
        return Turn("social", q, reply)

    def decline(self):
        if self.rng.random() < 0.65:
            q, _ = self.fill(DECLINE)
            return Turn("decline", q, "I can't know that.")
        room = self.some("rooms", 0.1)
        q, _ = self.fill(CANT, n=str(self.rng.randint(15, 28)), **self.slots(room, "R"))
        return Turn("decline", q, "I can't do that.")

    def unclear(self):
        x = self.rng.random()
        if x < 0.4:
            s = self.rng.choice(LIGHT_STATES)
            q, _ = self.phrase("light_which", s=s)
            return Turn("asks back", q, "Which room do you mean?", topic=("which_light", s))
        if x < 0.75:
            q, _ = self.phrase("which_ask")
            return Turn("asks back", q, "Which room do you mean?", topic=("which_temp",))
        q, _ = self.phrase("door_ask")
        return Turn("asks back", q, "Which door do you mean?")

    # -- follow-ups
    def follow(self, last: Turn):
        """The next turn, said about `last`, or None where there is nothing to refer to."""
        rng, home, topic = self.rng, self.home, last.topic
        if rng.random() < 0.06:
            q, _ = self.phrase("repeat")
            return Turn("follow-up: repeat", q, last.reply, topic=topic)
        if not topic:
            return None
        what = topic[0]
        if what in ("temp", "humidity", "light", "light_yn"):
            old = topic[1]
            x = rng.random()
            if x < 0.22 and old in home["rooms"]:
                to = rng.choice([t for t in ("humidity", "temp", "light") if t != what.removesuffix("_yn")])
                q, tag = self.phrase({"humidity": "f_humid", "temp": "f_temp", "light": "f_light"}[to])
                if tag == "on":
                    return Turn("follow-up", q, say_light(home, old), topic=("light_yn", old, "on"))
                return Turn("follow-up", q, {"humidity": say_humidity, "temp": say_temp, "light": say_light}[to](home, old), topic=(to, old))
            if x < 0.32 and what == "temp" and old != "outside":
                q, _ = self.phrase("f_out")
                return Turn("follow-up", q, say_temp(home, "outside"), topic=("temp", "outside"))
            if x < 0.5 and what.startswith("light") and home["rooms"].get(old, {}).get("light"):
                s = rng.choice(LIGHT_STATES)
                q, _ = self.phrase("f_again", s=s, S=cap(s))
                return self._command("light", q, old, s, "follow-up command")
            room = self.some("rooms", 0.06, {"temp": "temperature_c", "humidity": "humidity_pct"}.get(what, "light"))
            if room == old:
                return None
            q, _ = self.phrase("f_room", **self.slots(room, "R"))
            text = {"temp": say_temp, "humidity": say_humidity}.get(what, say_light)(home, room)
            return Turn("follow-up", q, text, topic=(what, room, *topic[2:]))
        if what in ("door", "door_yn", "device", "device_yn"):
            part = "doors" if what.startswith("door") else "devices"
            old = topic[1]
            if rng.random() < 0.35 and old in home[part]:
                if part == "doors":
                    s = rng.choice(DOOR_STATES)
                    q, _ = self.phrase("f_again_door", vb=VERBS[s], Vb=cap(VERBS[s]))
                    return self._command("door", q, old, s, "follow-up command")
                s = rng.choice(LIGHT_STATES)
                q, _ = self.phrase("f_again", s=s, S=cap(s))
                return self._command("device", q, old, s, "follow-up command")
            name = self.some(part, 0.06)
            if name == old:
                return None
            q, _ = self.phrase("f_thing", D=f"the {name}")
            text = (say_door if part == "doors" else say_device)(home, name)
            return Turn("follow-up", q, text, topic=(what, name, *topic[2:]))
        if what == "extreme":
            _, key, most = topic
            m = {("temperature_c", True): "warmest", ("temperature_c", False): "coldest", ("humidity_pct", True): "most humid", ("humidity_pct", False): "driest"}[key, not most]
            q, _ = self.phrase("f_ismax", m=m)
            return Turn("follow-up", q, say_extreme(home, key, not most), topic=("extreme", key, not most))
        if what == "compare":
            _, a, b, warm = topic
            if a == "outside":
                return None
            c = self.some("rooms", 0.03, "temperature_c")
            if c in (a, b):
                return None
            q, _ = self.phrase("f_room", **self.slots(c, "R"))
            return Turn("follow-up", q, say_compare(home, c, b, warm), topic=("compare", c, b, warm)) if b == "outside" else None
        if what == "which_temp":
            room = self.some("rooms", 0.05, "temperature_c")
            q, _ = self.phrase("f_which", **self.slots(room, "R"))
            return Turn("follow-up", q, say_temp(home, room), topic=("temp", room))
        if what == "which_light":
            room = self.some("rooms", 0.05, "light")
            q, _ = self.phrase("f_which", **self.slots(room, "R"))
            return self._command("light", q, room, topic[1], "follow-up command")
        if what == "list" and topic[1] in ("lights", "devices"):
            _, kind, state = topic
            hit = [n for n, s in things(home, kind).items() if s == state]
            to = "off" if state == "on" else "on"
            if not 1 <= len(hit) <= 2:
                return None
            q, _ = self.phrase("f_off_listed", s=to, them="it" if len(hit) == 1 else "them")
            if "all" in q.split() and len(hit) == 1:
                return None
            done = [self._act(kind[:-1], n, to) for n in hit]
            return Turn("follow-up command", q, " ".join(d[2] for d in done), [d[0] for d in done], [d[1] for d in done])
        if what == "cmd":
            _, kind, old, s = topic
            part = {"light": "rooms", "door": "doors", "device": "devices"}[kind]
            name = self.some(part, 0.05, "light" if kind == "light" else None)
            if name == old:
                return None
            if kind == "light":
                q, _ = self.phrase("f_cmd_room", **self.slots(name, "R"))
            else:
                q, _ = self.phrase("f_cmd_thing", D=f"the {name}")
            return self._command(kind, q, name, s, "follow-up command")
        return None

    def turn_back(self):
        """An earlier command that the state already shows, and its reversal: (old turn, "turn it off again")."""
        rng, home = self.rng, self.home
        pool = [("light", n, s) for n, s in things(home, "lights").items()] + [("door", n, s) for n, s in home["doors"].items()] + [("device", n, s) for n, s in home["devices"].items()]
        if not pool:
            return None
        kind, name, s = rng.choice(pool)
        states = [x for x in (DOOR_STATES if kind == "door" else LIGHT_STATES) if x != s]
        before = {p: {n: dict(v) if isinstance(v, dict) else v for n, v in home[p].items()} for p in ("rooms", "doors", "devices", "outside")}
        if kind == "light":
            before["rooms"][name]["light"] = states[0]
            q, _ = self.phrase("light_cmd", s=s, **self.slots(name, "R"))
        elif kind == "device":
            before["devices"][name] = states[0]
            q, _ = self.phrase("dev_cmd", s=s, V=f"the {name}", V0=name)
        else:
            before["doors"][name] = rng.choice(states)
            q, _ = self.phrase("door_cmd", s=s, vb=VERBS[s], Vb=cap(VERBS[s]), D=f"the {name}")
        old = Talker(rng, before, self.world, self.held)._command(kind, q, name, s)
        if not old.results or not old.results[0]["ok"]:
            return None
        to = s if rng.random() < 0.1 else rng.choice(states)
        if kind == "door":
            q, _ = self.phrase("f_again_door", vb=VERBS[to], Vb=cap(VERBS[to]))
        else:
            q, _ = self.phrase("f_again", s=to, S=cap(to))
        return old, self._command(kind, q, name, to, "follow-up command")


# kind -> share of the turns; train.py may scale these while it runs (mix.json)
MIX = dict(temp=8, temp_out=3, humidity=5, light_what=3, light_yn=6, door_what=3, door_yn=6, dev_what=3, dev_yn=5, weather=4, weather_yn=4,
           compare=9, threshold=4, extreme=9, list_=8, any_=4, all_=4, count=6, things=4, exists=2, clock=3, timer=5, light_cmd=8,
           dev_cmd=5, door_cmd=6, all_cmd=4, two_cmd=5, social=5, decline=8, unclear=2, turn_back=4)

# the part of a home without which a kind can only be answered "there is none"
PART = dict(temp="rooms", humidity="rooms", light_what="rooms", light_yn="rooms", compare="rooms", threshold="rooms", extreme="rooms", light_cmd="rooms",
            door_what="doors", door_yn="doors", door_cmd="doors", dev_what="devices", dev_yn="devices", dev_cmd="devices", weather="outside", weather_yn="outside", temp_out="outside")


def conversation(rng, held=False, size=8, mix=MIX):
    """Yields (turn, supervised) for ever, after first yielding the home and its system message.

    Every supervised turn is answered from the system message. About one turn in eight comes from an older state of
    the same home: it contradicts the system message, stands only as history and is not supervised.
    """
    world = World(rng, held)
    home = world.home(size)
    if rng.random() < 0.03:
        home = {"rooms": {}, "doors": {}, "devices": {}, "outside": {}}
    yield home, render(home, rng.choice(SYSTEMS))
    now = Talker(rng, home, world, held)
    names, weights = list(mix), list(mix.values())
    while True:
        old = rng.random() < 0.12
        talker = now
        if old:
            past = {p: {n: dict(v) if isinstance(v, dict) else v for n, v in home[p].items()} for p in home}
            talker = Talker(rng, world.values(past), world, held)
        kind = rng.choices(names, weights)[0]
        if PART.get(kind) and not home[PART[kind]] and rng.random() < 0.8:
            continue  # few questions about what the home does not have at all
        turn = getattr(talker, kind)()
        if turn is None:
            continue
        if isinstance(turn, tuple):
            yield turn[0], False
            yield turn[1], True
            continue
        yield turn, not old
        while rng.random() < 0.4:
            if turn.topic[:1] == ("list",) and old:
                break  # "turn them off" would mean what was listed then
            turn = now.follow(turn)
            if turn is None:
                break
            # A repeated sentence from an older state is right as a repetition, so it may be supervised too.
            yield turn, True


if __name__ == "__main__":
    import sys

    rng = random.Random(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    talk = conversation(rng, held="held" in sys.argv)
    print(next(talk)[1])
    for _ in range(25):
        turn, supervised = next(talk)
        print("---", turn.kind, "" if supervised else "(old)")
        for role, text in turn.messages():
            print(f"  {role}: {text}")
