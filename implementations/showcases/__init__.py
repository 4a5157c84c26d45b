"""One recipe per method for pictures that a person recognises: data, network, training, sampler, pictures.

They claim nothing, and no method and no demo knows them.  `named.find` finds them.
"""
