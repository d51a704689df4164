"""The letters that name tensor axes, in every annotation and docstring of bogc.

======  ==================================================================
letter  axis
======  ==================================================================
``N``   samples of a mini-batch
``M``   gradient sources: the fusion loss and each unimodal loss
``D``   parameters (dimensions) of one block
``K``   hypotheses of a frame of discernment
``P``   subsets of a frame, ``P = 2**K``; bit k of the index is hypothesis k
``C``   classes of a classification task, or groups of a mini-batch
``F``   features of an encoder
======  ==================================================================

``...`` stands for any leading axes. The aliases below are ``jaxtyping`` types: plain tensors at run
time, enforced in the tests.
"""

from jaxtyping import Float
from torch import Tensor

Losses = Float[Tensor, " N"]
Dimensions = Float[Tensor, "*batch D"]
Hypotheses = Float[Tensor, "*batch K"]
Subsets = Float[Tensor, "*batch P"]
Scalars = Float[Tensor, "*batch"]
