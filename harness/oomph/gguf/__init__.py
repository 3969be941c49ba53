"""The GGUF file format: its header as untrusted bytes, near or far, and ggml's types."""
