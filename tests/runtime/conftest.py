"""One thread: the tables are tiny, and times of neighbours on the machine should not matter."""

import torch

torch.set_num_threads(1)
