"""Files that start a model: one configuration in the words of llama.cpp and its neighbours."""
