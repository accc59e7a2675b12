"""Why a run became slower: when its pace changed, what the machine did meanwhile, what the causes are called."""
