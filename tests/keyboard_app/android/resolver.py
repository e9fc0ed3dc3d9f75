"""Let python-for-android resolve requirements, as its tool chain does before it builds anything.

Run where it is installed.

resolver.py REQUIREMENT...: prints as JSON what it would build by recipes, with the version that is built and that of
the recipe, and what it takes from PyPI.
"""

import json
import os
import sys

from pythonforandroid.bootstrap import Bootstrap
from pythonforandroid.build import Context
from pythonforandroid.graph import get_recipe_order_and_bootstrap
from pythonforandroid.recipe import Recipe

names = []
for requirement in sys.argv[1:]:
    name, _, version = requirement.partition("==")
    names.append(name)
    if version:
        os.environ[f"VERSION_{name}"] = version
context = Context()
order, modules, _ = get_recipe_order_and_bootstrap(context, names, Bootstrap.get_bootstrap("sdl2", context))
recipes = {name: Recipe.get_recipe(name, context) for name in order}
found = {name: [recipe.version, recipe._version] for name, recipe in recipes.items()}
print(json.dumps({"recipes": found, "modules": modules}))
