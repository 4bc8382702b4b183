"""More of what people call the things of training's families, beside the names and synonyms in `families`.

The frozen sentence encoder knows thousands of words; which of them looks like what is learned from these. They hold no
word that only occurs in held-out nouns of their family.
"""

from __future__ import annotations

from collections.abc import Mapping

_NOUNS: Mapping[str, str] = {
    "soda can": (
        "can of cola, lemonade can, can of lemonade, beer can, can of beer, energy drink can, can "
        "of soft drink, beverage can, aluminium can, coke can"
    ),
    "food can": (
        "vegetable can, can of peas, can of corn, sweetcorn can, can of vegetables, can of "
        "tomatoes, chili can, can of peaches, steel can"
    ),
    "fish can": (
        "can of mackerel, mackerel can, can of herring, anchovy can, cat food can, can of cat "
        "food, salmon can, can of salmon"
    ),
    "ground coffee can": (
        "can of cocoa, cocoa can, baby formula can, milk powder can, can of milk powder, can of "
        "ground coffee beans, protein powder can, espresso can"
    ),
    "water bottle": (
        "soda bottle, bottle of soda, lemonade bottle, bottle of lemonade, sports bottle, PET bottle, iced tea bottle"
    ),
    "wine bottle": (
        "beer bottle, champagne bottle, bottle of champagne, bottle of beer, bottle of olive oil, "
        "olive oil bottle, oil bottle, vinegar bottle, bottle of vinegar, liquor bottle"
    ),
    "shampoo bottle": (
        "bottle of conditioner, conditioner, lotion bottle, bottle of lotion, body lotion, "
        "sunscreen bottle, bottle of sunscreen"
    ),
    "ketchup bottle": (
        "bottle of barbecue sauce, barbecue sauce, bottle of sauce, salad dressing bottle, bottle "
        "of salad dressing, syrup bottle, bottle of syrup, hot sauce bottle, chocolate sauce "
        "bottle, mayonnaise bottle, mayonnaise, soy sauce bottle"
    ),
    "detergent bottle": (
        "bleach bottle, bottle of bleach, bleach, laundry detergent, laundry detergent bottle, "
        "fabric softener, bottle of fabric softener, dish soap bottle, dish soap, toilet cleaner, "
        "bottle of toilet cleaner, disinfectant, bottle of disinfectant, floor cleaner"
    ),
    "soap dispenser": (
        "bottle of hand soap, sanitizer bottle, hand sanitizer, bottle of hand sanitizer, "
        "moisturizer bottle, pump flacon"
    ),
    "pill bottle": (
        "supplement bottle, bottle of vitamins, vitamins, bottle of medicine, aspirin bottle, "
        "bottle of aspirin, pill container, medicine, pills, bottle of supplements"
    ),
    "jam jar": (
        "jar of honey, honey, jam, jelly jar, jar of peanut butter, peanut butter jar, peanut "
        "butter, jar of pickles, pickle jar, nutella jar, mason jar, jar of olives, mustard jar, "
        "jar of strawberry jam, jam glass"
    ),
    "spice jar": (
        "spice shaker bottle, cinnamon jar, jar of cinnamon, paprika powder jar, oregano jar, "
        "curry powder jar, spice, pepper jar, jar of herbs"
    ),
    "salt shaker": ("salt, table salt, sugar shaker, pepper pot, salt dispenser, parmesan shaker, pepper caster"),
    "cereal box": "granola box, box of granola, oatmeal box, box of oatmeal, cereal, cheerios box, cereals",
    "tea box": "tea, tea bags, herbal tea box, tea package",
    "pasta box": (
        "rice box, box of rice, box of noodles, box of macaroni, penne box, mac and cheese box, "
        "box of mac and cheese, macaroni, pasta, salt box, couscous box"
    ),
    "cake mix box": (
        "brownie mix box, box of brownie mix, muffin mix box, pancake mix box, box of pancake "
        "mix, gelatin box, box of gelatin, jello box, box of jello, gelatin, jello, yeast box, "
        "baking soda box, cake mix, instant pudding"
    ),
    "chocolate bar": (
        "chocolate, bar of milk chocolate, dark chocolate, milk chocolate bar, tablet of "
        "chocolate, candy, granola bar, cereal bar, snickers bar"
    ),
    "juice box": (
        "orange juice box, box of orange juice, drink box, box of apple juice, fruit juice, "
        "juice, juice pouch, carton of juice"
    ),
    "luncheon meat can": (
        "spam can, can of spam, can of ham, spam, can of corned beef, canned ham, pork can, square can"
    ),
    "tissue box": (
        "facial tissues, facial tissue box, kleenex, box of kleenex, tissue dispenser, box of facial tissues"
    ),
    "egg": "boiled egg, raw egg, eggshell, fresh egg",
    "mug": ("tea cup with a handle, cocoa mug, ceramic mug, coffee cup with a handle, cup of coffee, beer mug"),
    "teacup": "cup of tea, cappuccino cup, porcelain cup, saucer cup",
    "paper cup": "party cup, solo cup, cardboard cup, coffee paper cup, cup without a handle, drinking cup",
    "drinking glass": (
        "glass of water, glass tumbler, glass cup, whisky glass, beer glass, milk glass, glass of "
        "juice, cocktail glass, lemonade glass"
    ),
    "cereal bowl": (
        "rice bowl, mixing bowl, fruit bowl, noodle bowl, serving bowl, dessert bowl, ceramic bowl, porcelain bowl"
    ),
    "plate": (
        "salad plate, side plate, lunch plate, saucer, serving plate, ceramic plate, cake plate, "
        "soup plate, porcelain plate, dinner dish"
    ),
    "water pitcher": (
        "jug of water, juice pitcher, lemonade pitcher, pitcher of water, juice jug, beer "
        "pitcher, measuring jug, plastic jug, iced tea pitcher"
    ),
    "frying pan": (
        "pan for frying, grill pan, omelette pan, nonstick pan, pancake pan, crepe pan, wok, cast iron pan, griddle"
    ),
    "saucepan": (
        "pot, soup pot, pasta pot, stock pot, pot with a handle, sauce pot, cooking pan, casserole, stove pot"
    ),
    "vase": "vase for flowers, glass vase, bud vase, porcelain vase, decorative vase, floral vase",
    "flower pot": ("pot for plants, pot for flowers, clay pot, garden pot, houseplant pot, herb pot, pot for a plant"),
    "tablespoon": (
        "silver spoon, table spoon, serving spoon, teaspoon, tea spoon, dinner spoon, spoon of steel, cereal spoon"
    ),
    "fork": "salad fork, metal fork, silver fork, dessert fork, cake fork, steel fork, pasta fork",
    "table knife": (
        "steak knife, silver knife, cheese knife, metal knife, steel knife, kitchen knife, knife for dinner"
    ),
    "spatula": (
        "cooking spatula, frying spatula, kitchen turner, grill spatula, burger turner, slotted "
        "spatula, flat spatula, slotted turner"
    ),
    "whisk": ("whisking tool, hand whisk, kitchen whisk, steel whisk, whisk for eggs, cream whisk, batter whisk"),
    "wooden spoon": "spoon of wood, wood spoon, spoon made of wood, spoon for cooking, porridge spoon",
    "rolling pin": (
        "pin for rolling, wooden roller, cookie roller, pizza roller, pie roller, wood rolling pin, kitchen roller"
    ),
    "sponge": (
        "cleaning sponge, dishwashing sponge, bath sponge, washing sponge, sponge for dishes, car sponge, foam sponge"
    ),
    "hammer": (
        "steel hammer, workshop hammer, household hammer, iron hammer, hammer tool, ball peen hammer, framing hammer"
    ),
    "mallet": ("wood mallet, carpenter's mallet, rubber hammer, camping mallet, wooden hammer, tent peg hammer"),
    "screwdriver": (
        "crosshead screwdriver, flathead screwdriver, slotted screwdriver, torx screwdriver, hand "
        "screwdriver, phillips head, flathead"
    ),
    "wrench": (
        "open-end wrench, crescent wrench, pipe wrench, combination wrench, adjustable spanner, "
        "ring spanner, metal wrench"
    ),
    "kitchen scissors": (
        "fabric scissors, paper scissors, tailor's scissors, sewing scissors, craft scissors, "
        "scissors for the kitchen, pair of kitchen scissors"
    ),
    "clip clamp": (
        "grip clamp, plastic clamp, workshop clamp, quick clamp, bar clamp, clamp for wood, squeeze clamp, A-clamp"
    ),
    "electric drill": (
        "drill driver, impact driver, cordless screwdriver, cordless driver, handheld drill, "
        "drill gun, screw gun, electric hand drill"
    ),
    "flashlight": ("torchlight, flash light, pocket torch, battery torch, handheld light, penlight, pocket light"),
    "tape measure": (
        "carpenter's tape, measure, tape for measuring, steel tape measure, pocket tape measure, "
        "tape meter, measuring tool"
    ),
    "padlock": ("bike lock, brass lock, security lock, gate lock, combination lock, steel padlock, suitcase lock"),
    "paint brush": ("wall brush, brush for painting, flat brush, house paint brush, art brush, glazing brush, brush"),
    "light bulb": ("incandescent bulb, glass bulb, halogen bulb, edison bulb, bulb for a lamp, energy saving bulb"),
    "tape roll": (
        "duct tape, masking tape, roll of duct tape, scotch tape, electrical tape, roll of "
        "masking tape, insulating tape, roll of scotch tape, packaging tape, tape"
    ),
    "felt marker": (
        "sharpie, text marker, paint marker, highlighter pen, colour marker, magic marker, "
        "marking pen, flip chart marker"
    ),
    "pencil": ("drafting pencil, wooden pencil, school pencil, HB pencil, number two pencil, crayon, sketching pencil"),
    "ball-point pen": "ballpoint pen, rollerball, gel pen, fountain pen, click pen, rollerball pen, signing pen",
    "glue stick": "school glue, stick glue, pritt stick, glue, craft glue, glue pen, tube of glue",
    "book": ("textbook, cookbook, notebook, dictionary, story book, closed book, comic book, journal, paperback book"),
    "eraser": "school eraser, ink eraser, block eraser, drawing eraser, pencil rubber, vinyl eraser",
    "smartphone": (
        "iphone, android phone, cellphone, mobile, smart phone, touchscreen phone, cellular phone, tablet phone"
    ),
    "remote control": (
        "TV control, remote for the TV, air conditioner remote, TV clicker, clicker, zapper, stereo remote, DVD remote"
    ),
    "computer mouse": (
        "mouse, laptop mouse, optical mouse, gaming mouse, desktop mouse, bluetooth mouse, mouse for the computer"
    ),
    "toothpaste tube": "ointment, tube of ointment, colgate, paste for teeth, tube of sunscreen",
    "toothbrush": ("tooth brush, teeth brush, bathroom brush, soft toothbrush, travel toothbrush, kids toothbrush"),
    "bar of soap": ("piece of soap, hand soap bar, soap block, bath soap, toilet soap, block of soap, bath bar"),
    "toilet roll": "roll of paper, toilet paper roll, kitchen roll, paper roll, TP roll",
    "candle": "scented candle, stearin candle, block candle, church candle",
    "tennis ball": "tennis training ball, dog ball, fluffy ball, padel ball",
    "baseball": "ball with seams, softball, stitched ball, ball for baseball, league ball, cricket ball",
    "table tennis ball": (
        "pingpong ball, beer pong ball, ball for table tennis, plastic ping pong ball, hollow plastic ball"
    ),
    "rubber ball": (
        "beach ball, ball to play with, dog toy ball, juggling ball, gymnastics ball, children's ball, elastic ball"
    ),
    "mini soccer ball": "futsal ball, football, soccer ball for kids, ball for soccer, fan ball",
    "toy block": "cube, building cube, dice, alphabet block, lego block, kids block",
    "wood brick": (
        "block of wood, wood block, wooden block, wooden bar, log, wooden post, lump of wood, wooden rectangle"
    ),
    "apple": "ripe apple, crisp apple, granny smith, gala apple, fuji apple",
    "orange": "tangerine, mandarin, clementine, satsuma",
    "lemon": "fresh lemon, ripe lemon, juicy lemon, organic lemon, lemon fruit, kitchen lemon",
    "lime": "fresh lime, persian lime, lime fruit, juicy lime, ripe lime",
    "banana": ("fresh banana, unpeeled banana, organic banana, chiquita, cavendish banana, banana fruit"),
    "peach": "apricot, fresh peach, juicy peach, peach fruit",
    "plum": "fresh plum, juicy plum, sweet plum, plum fruit, mirabelle",
    "strawberry": "fresh strawberry, juicy strawberry, sweet strawberry, strawberry fruit",
    "kiwi": "ripe kiwi, fresh kiwi, whole kiwi",
    "avocado": "fresh avocado, whole avocado, soft avocado, organic avocado",
    "tomato": "fresh tomato, vine tomato, plum tomato, juicy tomato, whole tomato, garden tomato",
    "potato": "russet potato, fresh potato, unpeeled potato, whole potato, jacket potato",
    "onion": "whole onion, fresh onion, spanish onion",
    "carrot": "whole carrot, garden carrot, snack carrot, peeled carrot",
    "cucumber": "whole cucumber, garden cucumber, raw cucumber, zucchini, courgette",
    "eggplant": "fresh eggplant, raw eggplant, ripe eggplant, melanzana, garden eggplant",
}

MORE_NOUNS: Mapping[str, tuple[str, ...]] = {name: tuple(nouns.split(", ")) for name, nouns in _NOUNS.items()}
"""Name of a family -> further nouns."""
