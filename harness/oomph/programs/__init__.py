"""The programs that people run llama.cpp by: their defaults, their command lines."""
