"""llama.cpp inside this process: one runtime under a memory budget, and a ``ChatModel`` for each GGUF file."""
