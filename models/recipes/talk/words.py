"""Common English words that training puts into names, so that copying a word never seen is nothing new: rooms, doors,
devices and sensors are called whatever their owners like. For grammar.py, which leaves out those that occur in held-out
names. Written for this file; no list was copied.
"""

COMMON = """
ant badger bat bear beaver bee beetle bison buffalo bull butterfly calf camel canary cattle cheetah chicken cobra cod crab crane cricket
crocodile crow deer dolphin donkey dove dragon duck eagle eel falcon ferret finch firefly flamingo fox frog gazelle giraffe goat goose
gorilla gull hamster hare hawk hedgehog hen heron herring hippo hornet jackal jaguar jellyfish kangaroo kitten koala lamb lark leopard
lion lizard llama lobster lynx magpie mammoth meerkat mole monkey moose mosquito moth mouse mule newt nightingale octopus ostrich otter
owl oyster panda panther parrot partridge peacock pelican penguin pheasant pigeon pony puffin puppy python rabbit raccoon ram raven
reindeer rhino robin rooster salmon seal shark shrew shrimp sloth snail sparrow spider squid squirrel stork swallow swan swift tiger toad
tortoise trout turkey turtle viper vulture walrus wasp weasel whale wolf woodpecker worm wren yak zebra

acorn almond apricot artichoke ash asparagus aspen avocado bamboo banana barley basil bean beech beet berry birch blackberry blossom
broccoli bush cabbage cactus carrot cedar celery cherry chestnut chilli clover coconut corn cotton cranberry cucumber daisy date elm fern
fig fir garlic ginger grape grass hazel heather herb holly hop ivy jasmine juniper larch laurel lavender leaf leek lemon lentil lettuce
lilac lily lime lotus mango maple marigold melon mint moss mushroom nettle nut oak oat olive onion orchid palm papaya parsley pea peach
peanut pear pepper pine plum poplar poppy potato pumpkin radish raspberry reed rhubarb rice root rosemary rye saffron sage seed spinach
spruce strawberry sunflower thistle thorn thyme tomato tulip turnip vanilla vine walnut wheat willow

bacon bagel biscuit bowl broth bun burger butter cake candy caramel cereal cheese chocolate cider cinnamon cocoa coffee cookie cream crisp
crumb curry custard dough egg espresso flour fudge gravy ham honey jam jelly juice ketchup lemonade loaf lunch malt margarine marmalade
mustard noodle nutmeg oil omelette pancake pasta pastry pie pizza porridge pretzel pudding salad salt sandwich sauce sausage sherry snack
soda soup steak stew sugar supper syrup tea toffee vinegar wafer water whisky wine yeast yogurt

alloy aluminium amber asphalt brass brick bronze canvas carbon cardboard cement ceramic chalk charcoal chrome clay coal cobalt concrete
copper coral cork crystal diamond dust emerald enamel fabric fibre flint fleece foam foil fur gold granite graphite gravel gypsum iron
ivory jade lace lead leather linen lithium marble mercury metal mica mortar nickel nylon opal paper pearl pebble plaster plastic platinum
plywood porcelain pottery quartz resin rubber ruby rust sand sapphire satin silicon silk silver slate soil steel stone straw suede sulphur
tar terracotta tile timber tin titanium topaz tungsten turquoise tweed velvet wax wicker wire wool zinc

accountant actor admiral agent architect artist baker banker barber baron bishop boss boxer brewer builder butcher butler captain carpenter
chef chief clerk coach colonel cook count curator dancer dealer dentist designer detective diver doctor driver duke editor emperor engineer
farmer firefighter fisher florist gardener general giant goldsmith grocer guard guide hermit hunter inspector jeweller joker judge juggler
keeper king knight lawyer librarian lord magician major manager marshal mason mayor mechanic merchant miller miner minister monk nurse
officer painter pilot pirate planter plumber poet porter potter prince princess prophet queen ranger reporter sailor sculptor secretary
sergeant shepherd sheriff singer smith soldier student surgeon tailor teacher trader tutor tyrant umpire uncle vicar waiter warden weaver
wizard writer

anchor anvil apron arrow axe backpack badge bag ball balloon bandage banjo banner barrel basin basket bath battery beacon bed bell belt
bench bicycle binder blanket blind board bolt bonnet boot bottle bow box bracelet bracket brush bucket buckle button cable cage calendar
candle cannon cap card carpet cart case cassette catalogue chain chair chalk chest chimney chisel clamp clip clock cloth coat coin collar
comb compass computer cone console cord counter cradle crate crown cupboard curtain cushion dagger desk dial diary dice dish doll drawer
drum easel engine envelope fan faucet fence file flag flask flute fork frame fridge funnel gadget garland gauge gear glass globe glove glue
gong goblet guitar hammer hammock handle hanger harp hat helmet hinge hook horn hose hourglass jacket jar jug kettle key keyboard kite knife
knob ladder lamp lantern latch lens lever lid lighter lock locker log loom machine magnet mallet map mask mat match mattress medal meter
microphone microscope mirror mop motor mug nail napkin necklace needle net notebook oar organ oven paddle page pan parcel pedal pen pencil
piano pillow pin pipe pitcher plank plate pliers plough plug pocket pole pot press propeller pulley purse puzzle quilt racket radar rail
rake razor receiver reel ribbon ring rocket rod rope rug ruler sack saddle sail saw scale scarf scissors screen screw sewing sheet shelf
shield shirt shoe shovel shutter sickle sink skate ski sled sleeve sock socket sofa spade speaker spear spindle sponge spool spoon stamp
stapler statue stool stopper strap string suitcase swing sword table tablet tank tape telescope tent thermostat thimble thread throne ticket
tongs torch towel tower toy tray tripod trolley trombone trophy trumpet tub tube tunnel turbine umbrella urn valve van vase ventilator vest
vice violin wagon wallet watch wheel whistle whip winch wrench zip zipper

academy airport alcove alley altar arcade arch arena atelier atrium auditorium avenue backyard ballroom bank bar barracks bay beach billiard
booth border boudoir boundary bridge brook bungalow bureau bypass cafe camp campus canal canyon cape capital carport castle cathedral cave
cemetery chalet chamber chapel chateau church cinema circle city cliff cloister club coast college colony common compound copse corner cottage
council country court courtyard crater creek crypt dairy dam delta depot desert district dock dome dormitory downstairs dungeon dwelling
embassy estate factory farm ferry field fjord flat forest forge fort foundry fountain frontier garrison glacier glen grange grotto grove
gully gutter harbour heath hideout highway hill hollow home hospital hostel hotel hut inlet inn island isle junction kennel kiosk lagoon
lake lane lawn lodge manor mansion market marsh meadow midway mine moat monastery moor mosque motel mountain museum nest nook oasis ocean
orangery outback outhouse outpost palace park passage path pavilion peak pier plain planet plateau plaza pool port prairie prison promenade
province pub pyramid quarter quay ranch range rapids ravine refuge region republic reservoir resort restaurant ridge river road ruin
sanctuary school sea seaside settlement shelter shore slope solarium spa square stadium stage station stream street studio suburb summit
swamp temple territory theatre tomb town track trail tropics valley vault vicarage villa village vineyard volcano walk wall waterfall
wilderness wing wood woods zoo

active amazing ancient angry arctic automatic awful bitter blank blind blunt bold brave brief bright brilliant broad broken busy calm
careful central cheap clean clever close coarse compact complex cosy crazy crooked cruel curious curly dark deep deluxe dense digital dim
dirty double dry dull dusty eager early easy elder electric elegant empty endless enormous equal exact extra faint fair faithful famous fancy
far fast feeble fierce final fine firm flexible foreign forward fragile frozen funny gentle giant glad global golden grand grateful green
hard harsh hasty healthy heavy hidden high holy honest huge humble hungry icy ideal idle important indoor inside jolly junior keen kind large
lazy liquid little lively local lonely long loose loud lovely low lucky magic magnetic manual massive mellow merry mighty mild minor mobile
modern moist muddy mutual narrow nasty near neat nervous noble noisy normal odd opposite optical ordinary outdoor outside pale perfect plain
pleasant polite poor portable precise premium pretty primary private proper proud public pure quick quiet rapid rare ready real rich rigid
ripe rough round royal rude rural rusty sacred safe salty scarlet secret senior serious shallow sharp shiny short silent silly simple single
sleepy slim slow smart smooth soft solar solid sour spare special steady steep sticky stiff still strange strict strong sturdy sudden sweet
tall tame tender thick thin tidy tight tired tough tropical true twin ugly ultra universal upstairs urban useful vacant vast visible vital
vivid warm weak wealthy wet wide wild winter wise wooden young zero

action album alphabet angle answer apartment army atlas attack autumn award balance band bargain basis battle beat birth blast block blood
bomb bond bonus border brain branch breath breeze brother bubble budget burst business campaign carnival century chance change chapter charm
chorus circuit circus climate cloud colour comet comfort comic concert contest control copy couple courage course cousin credit crew crime
crisis crowd culture current cycle damage dance danger daughter dawn debate decade degree design detail disc distance dozen drama dream
drift drop duel dusk duty echo eclipse edge effect effort element energy escape event exchange exit expert fabric factor failure faith family
fantasy fashion father fault feast feather feature festival fever fiction figure film finger fire fist flame flash flight flood floor flow
fluid focus force forecast fortune fossil freedom freight friend frost fuel function future galaxy gallon game gang ghost gift glance glow goal
gossip grain gravity group growth guest habit harmony harvest health heart heat heaven height hero hobby holiday honour hope horizon hour
humour idea image impact income industry insect instinct interest issue item joke journey joy junk jury justice kingdom knowledge label
labour language laser laugh league lecture legend leisure lesson letter level liberty limit line link list load logic luck lunar magazine
mail manner margin mass master matter measure melody member memory message method midnight minute mission mixture model moment monday
month mood morning mother motion movement muscle mystery myth nation nature nerve network news night noise notice novel number object offer
option orbit order origin outline package pact paint pair panel panic parade parent partner party passion patience pattern pause payment
peace pepper period phase phone photo phrase picture piece planet plot point policy portrait poster power praise present prize problem
process product profit program project proof pulse purpose quality quest question quiz quota race rage rain ratio reason record relief
remark report rescue result reward rhythm riddle risk ritual rival rule rumour safety sample satellite saturday scene scheme scene school
science score scout screen season second sector sense series session shade shadow shape share shift shock shot shower signal silence sister
size skill skin skull sleep slogan smile smoke snow society solution song soul sound source space spark spell sphere spice spirit spot
spray squad staff stair star start state steam step stick stock storm story strategy strength stress stretch strike stroke style subject
success summer sunday sunrise sunset supply support surface surprise switch symbol symphony system talent target task taste team temper
tension term test theory thought thunder thursday tide title tone topic total touch tour trade tradition traffic treasure treat trend trial
tribe trick trip triumph troop trouble trust truth turn twilight twist union unit unity universe update vacuum value variety vehicle venue
verse version victory video view virtue vision visit voice volume vote voyage wage wave weather wedding weekend welcome whisper wind window
winner wish witness wonder word work world wound year youth

abigail adam adele adrian agnes ahmed alan albert alex alfred amanda amelia andrea andrew angela anton arthur astrid audrey barbara beatrice
bella bernard betty bianca boris brenda brian bridget caleb carla carmen caroline cecilia cedric charles charlotte chloe chris claire claude
colin connor cynthia daniel daphne deborah dennis diana dmitri dominic doris dorothy edgar edith edward elaine eleanor elias elizabeth elliot
eric erika ernest esther ethan eugene evelyn fatima ferdinand fiona florence frances francis frank fred gabriel george gerald gilbert gina
gloria gordon greta gustav hannah harold harriet harvey heidi helen herbert hiroshi howard ian igor imogen ingrid irene iris isaac isabel
ivana jacob james jane janet jasper jean jenny jerome jessica joan joel john jordan joseph joshua juan judith karen karl kate keith kevin kim
kirsten lara lars laura leon leonard liam linda lisa louis louise luca lucas luis luna lydia magnus malcolm manuel marco margaret marie marion
mark marta martha martin matthew maurice megan melissa michael miguel milo miriam mohammed monica nadia naomi natalie nathan neil nicholas
nigel nora oliver olivia oscar pablo pamela patricia patrick paula penelope philip phoebe pierre rachel ralph raymond rebecca regina richard
rita robert roger roland ronald rory ruth ryan sabrina sally samantha samuel sandra sarah sean sebastian sergei sharon sheila sidney silvia
sophie stefan stephen steven stuart susan suzanne sven sylvia tamara tatiana teresa theo theresa thomas timothy tina tobias tony tracy ursula
valerie vanessa vera veronica victor victoria vincent virginia vivian walter wendy wilfred william winston xavier yasmin yvonne zachary
""".split()
