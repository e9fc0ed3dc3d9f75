"""The smallest model that crashes LiteRT's Python on arm64: the square root of one number.

scalar_input.py write FILE: makes the model. scalar_input.py 0|1 FILE: gives its input no dimension, as it has, or one.
"""

import sys
from pathlib import Path

what, file = sys.argv[1], Path(sys.argv[2])
if what == "write":
    import tensorflow as tf

    root = tf.function(tf.sqrt, input_signature=[tf.TensorSpec([], tf.float32)]).get_concrete_function()
    file.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([root]).convert())
else:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file))
    interpreter.resize_tensor_input(0, [1] * int(what))
    interpreter.allocate_tensors()
