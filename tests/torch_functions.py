# What torch.def calls and PyTorch does not have, in its words.
