"""The child that holds a model, measures what it is handed, and may die of it.

Run by the executor as a process of its own. It imports the standard library and, inside functions,
llama_cpp and the numpy that comes with it; nothing of this package outside this folder, because its
own memory is a bias of what is measured, and because llama.cpp ends the process when CUDA runs out.
llama.cpp's log goes to file descriptors 1 and 2, which the parent has put on a file (a pipe that
nobody drains would block llama.cpp after 64 KiB).

What the two say is in `protocol`: on stdin first the job, then for each point the point and, once
it is measured, the questions or null (the parent has read its probes by then); the end of stdin
ends the worker. On the descriptor named by the first argument: `ready`, `loaded`, then for each
point `context`, `measured` and `done`, or `failed` with the stage. All durations are nanoseconds of
the monotonic clock around work that llama_synchronize has waited for.
"""
