"""How runs end, in the words of many builds: a label, an exit code and what was printed."""

CUDA_ALLOC = (
    "ggml_backend_cuda_buffer_type_alloc_buffer: allocating {} MiB on device 0: cudaMalloc "
    "failed: out of memory"
)
POOL = """CUDA error: out of memory
  current device: 0, in function alloc at ggml-cuda.cu:527
  cuMemCreate(&handle, reserve_size, &prop, 0)"""

CASES = [
    # device memory: weights
    (
        "oom_weights",
        1,
        f"load_tensors: (mmap = true)\n{CUDA_ALLOC.format(40543.11)}\n"
        "llama_model_load: error loading model: unable to allocate CUDA0 buffer",
    ),
    (
        "oom_weights",
        None,
        "Error: llama runner process has terminated: cudaMalloc failed: out of memory\n"
        "llama_model_load: error loading model: unable to allocate backend buffer",
    ),
    (
        "oom_weights",
        None,
        "llm_load_tensors: VRAM used: 9000 MB\nCUDA error 2 at ggml-cuda.cu:7949: out of memory",
    ),
    (
        "oom_weights",
        None,
        "ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory\n"
        "llama_model_load: error loading model: unable to allocate Vulkan0 buffer",
    ),
    # KV cache
    (
        "oom_kv",
        None,
        "cudaMalloc failed: out of memory\nllama_kv_cache_init: failed to allocate buffer for kv "
        "cache",
    ),
    (
        "oom_kv",
        1,
        "llama_init_from_model: failed to initialize the context: failed to allocate buffer for "
        "rs cache",
    ),
    (
        "oom_kv",
        None,
        "llama_new_context_with_model: n_ctx = 16384\n"
        "llama_kv_cache_init: offloading v cache to GPU\n"
        "CUDA error 2 at ggml-cuda.cu:5509: out of memory",
    ),
    # compute buffer
    (
        "oom_compute",
        -11,
        f"{CUDA_ALLOC.format(8494.79)}\nggml_gallocr_reserve_n: failed to allocate CUDA0 buffer\n"
        "llama_init_from_model: failed to initialize the context: failed to allocate compute pp "
        "buffers",
    ),
    (
        "oom_compute",
        1,
        f"{CUDA_ALLOC.format(9)}\ngraph_reserve: failed to allocate compute buffers\n"
        "llama_context: compute buffer allocation failed, retrying without pipeline parallelism\n"
        f"{CUDA_ALLOC.format(9)}\ngraph_reserve: failed to allocate compute buffers",
    ),
    # run time
    ("oom_runtime", -6, f"llama_context: graph nodes  = 1350\n{POOL}"),
    ("oom_runtime", 134, f"load_tensors: offloaded 49/49 layers to GPU\n{POOL}"),
    (
        "oom_runtime",
        -6,
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED\n  in function cublas_handle at common.cuh:1123",
    ),
    ("oom_runtime", None, "0.52.003.528 E ROCm error: out of memory"),
    (
        "oom_runtime",
        None,
        f"slot update_slots: id  0 | prompt processing\n{CUDA_ALLOC.format(602.02)}\n"
        "ggml_gallocr_reserve_n: failed to allocate CUDA0 buffer of size 631265280\n"
        "graph_compute: ggml_backend_sched_graph_compute_async failed with error -2",
    ),
    (
        "oom_runtime",
        None,
        "error: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
    ),
    # the host
    ("killed", -9, "load_tensors: loading model tensors, this can take a while..."),
    ("killed", 137, ""),
    ("killed", 143, "load_tensors: loading model tensors"),
    ("killed", -1, ""),
    ("host_oom", 137, "std::bad_alloc"),
    ("host_oom", 134, "terminate called after throwing an instance of 'std::bad_alloc'"),
    (
        "host_oom",
        None,
        "llama_model_load: error loading model: mmap failed: Cannot allocate memory",
    ),
    (
        "host_oom",
        None,
        "Error: model requires more system memory (5.6 GiB) than is available (3.4 GiB)",
    ),
    ("host_oom", None, "./run.sh: line 3:  4711 Killed                  ./llama-server -m x.gguf"),
    (
        "host_oom",
        None,
        "ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 18253611040\n"
        "llama_model_load: error loading model: unable to allocate CPU buffer",
    ),
    # the card and the driver
    (
        "device_lost",
        -6,
        "CUDA error: unspecified launch failure\n  in function ggml_backend_cuda_synchronize",
    ),
    (
        "device_lost",
        None,
        "kernel: NVRM: Xid (PCI:0000:01:00): 79, pid=4711, GPU has fallen off the bus.",
    ),
    ("device_lost", None, "ggml_vulkan: vk::Queue::submit: ErrorDeviceLost"),
    (
        "device_lost",
        None,
        "CUDA error 700 at ggml-cuda.cu:6951: an illegal memory access was encountered",
    ),
    (
        "driver_missing",
        None,
        "CUDA error 100 at ggml-cuda.cu:485: no CUDA-capable device is detected",
    ),
    (
        "not_an_error",
        0,
        "ggml_init_cublas: no CUDA devices found, CUDA will be disabled\neval time = 9 ms",
    ),
    (
        "driver_missing",
        None,
        "ggml_init_cublas: no CUDA devices found, CUDA will be disabled\nload_tensors: loading",
    ),
    (
        "driver_missing",
        1,
        "OSError: libcudart.so.12: cannot open shared object file: No such file or directory",
    ),
    (
        "driver_missing",
        -6,
        "CUDA error: the provided PTX was compiled with an unsupported toolchain.",
    ),
    # the file
    ("bad_model", 1, "gguf_init_from_file_impl: invalid magic characters: '<!do', expected 'GGUF'"),
    (
        "bad_model",
        1,
        "llama_model_load: error loading model: missing tensor 'blk.0.attn_q_norm.weight'",
    ),
    (
        "bad_model",
        1,
        "llama_model_load: error loading model: done_getting_tensors: wrong number of tensors",
    ),
    ("bad_model", 1, "ValueError: Model path does not exist: m.gguf"),
    (
        "bad_model",
        None,
        "error loading model: unknown (magic, version) combination: 46554747, 00000001",
    ),
    # the configuration
    ("bad_config", 1, "llama_init_from_model: quantized V cache requires flash_attn to be enabled"),
    (
        "bad_config",
        -6,
        "llama-model.cpp:1000: GGML_ASSERT(hparams.n_expert_used <= hparams.n_expert) failed",
    ),
    ("bad_config", -6, "ggml.c:1700: GGML_ASSERT(obj_new) failed"),
    ("bad_config", 1, "error: invalid argument: --num-experts"),
    ("bad_config", 1, "ValueError: Requested tokens (5012) exceed context window of 4096"),
    # the rest
    ("timeout", None, "Error: timed out waiting for llama runner to start - progress 0.00"),
    ("timeout", 124, "load_tensors: loading model tensors"),
    ("crash", -11, "llama_model_loader: loaded meta data with 37 key-value pairs"),
    ("crash", 3221225477, "load_tensors: loading"),
    (
        "crash",
        None,
        "ggml.c:2500: GGML_ASSERT(ggml_can_mul_mat(a, b)) failed\nAborted (core dumped)",
    ),
    (
        "bad_config",
        1,
        "llama_init_from_model: failed to initialize the context: dflash requires ctx_other to be "
        "set (this warning is normal during memory fitting)\n"
        "common_init_: failed to create context with model 'dflash.gguf'",
    ),
    ("driver_missing", 1, "fatal error: --n-gpu-layers 35 was passed but no gpus were found"),
    (
        "device_lost",
        None,
        "radv/amdgpu: The CS has been cancelled because the context is lost. This context is "
        "innocent.\nsrv  update_slots: decode() failed: vk::Queue::submit: ErrorDeviceLo",
    ),
    (
        "device_lost",
        None,
        'runtime.cpp:2026: Assertion `false && "GPU memory access fault."\'\n'
        "  VM_L2_PROTECTION_FAULT_STATUS:0x00341051",
    ),
    (
        "oom_runtime",
        None,
        "radv/amdgpu: Not enough memory for command submission.\nterminate called after throwing "
        "an instance of 'vk::DeviceLostError'",
    ),
    (
        "oom_kv",
        None,
        f"{CUDA_ALLOC.format(10386.06)}\nsrv    load_model: failed to create MTP context\n"
        "srv          main: exiting due to model loading error",
    ),
    (
        "timeout",
        None,
        "ERROR failed starting/connecting to the gRPC service error=rpc error: code = Unavailable "
        "desc = connection error: connect: connection refused",
    ),
    ("ok", 0, "llama_perf_context_print: eval time = 10 ms"),
    ("ok", 0, ""),
    # alarming, and it runs on
    (
        "not_an_error",
        0,
        "ggml_cuda_host_malloc: failed to allocate 9000.00 MiB of pinned memory: out of memory",
    ),
    (
        "not_an_error",
        None,
        "warning: failed to mlock 1158266880-byte buffer: Cannot allocate memory",
    ),
    (
        "not_an_error",
        None,
        "ggml_vulkan: Failed to allocate pinned memory.\n"
        "ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory\nmain: server is "
        "listening on port 8080",
    ),
    (
        "not_an_error",
        0,
        f"{CUDA_ALLOC.format(9)}\ngraph_reserve: failed to allocate compute buffers\n"
        "sched_reserve: compute buffer allocation failed, retrying without pipeline parallelism",
    ),
    (
        "not_an_error",
        0,
        f"{CUDA_ALLOC.format(9)}\nmain: model loaded\nmain: server is listening on port 8080",
    ),
    (
        "not_an_error",
        None,
        "ggml_vulkan: No devices found.\nmain: server is listening on port 8080",
    ),
    (
        "not_an_error",
        None,
        "main: server is listening on port 8080\nsrv    operator(): got exception: "
        '{"error":{"code":500,"message":"[json.exception.parse_error.101] parse error at line 11"',
    ),
]

FAILED = [
    tuple(log.splitlines())
    for label, exit_code, log in CASES
    if exit_code is None and label not in ("ok", "not_an_error")
]
"""Logs that show a failure by themselves, without an exit code."""

WORKED = [
    "main: server is listening on http://127.0.0.1:8080 - starting the main loop",
    "srv  update_slots: all slots are idle",
    "slot print_timing: id  0 | eval time =     100.00 ms /    10 tokens",
    "llama_perf_context_print:       total time =    1000.00 ms /   100 tokens",
    "| qwen3 0.6B Q4_K - Medium | 372.65 MiB | 596.05 M | CUDA | 99 | pp512 | 700.00 ± 10.00 |",
    "Final estimate: PPL = 9.5512 +/- 0.07",
    "[1]2.5013,[2]3.2882,[3]2.3700",
    "llama runner started in 7.22 seconds",
    "srv  llama_server: model loaded",
    'level=INFO source=sched.go:735 msg="loaded runners" count=1',
    '[GIN] 2025/10/30 - 00:12:12 | 200 |  1.2s | 127.0.0.1 | POST     "/api/generate"',
    "srv  log_server_r: request: POST /v1/chat/completions 127.0.0.1 200",
    "llama.service: Main process exited, code=exited, status=0/SUCCESS",
]
BENIGN = [
    "print_info: arch             = qwen3",
    "llama_model_loader: - kv   0:  general.architecture str = qwen3",
    "llama_model_loader: - kv  21:  tokenizer.chat_template str = {{ raise_exception('no') }}",
    "load: special tokens cache size = 26",
    "load_tensors: offloading 28 repeating layers to GPU",
    "system_info: n_threads = 8 | CPU : AVX2 = 1 |",
    "",
    "........................................",
]
