"""What a line of a log says of failure: the phrases, sorted by cause.

A table and nothing else, apart from `outcome` because it grows with every new build while the
reasoning over it does not. The phrases are those of llama.cpp from 2023 to 2026 (CUDA, ROCm,
Vulkan, Metal, CPU), of ik_llama.cpp, llama-cpp-python, Ollama and the Linux kernel. They are
searched anywhere in a line, because journals, containers and newer builds put times, levels and
names in front.
"""

import re
from enum import Enum
from functools import cache, lru_cache
from typing import Final

from oomph.measure.logs.exit_codes import ending_of, logged_ending
from oomph.measure.logs.phrases import Phrases
from oomph.measure.logs.progress import REMEMBERED


class Sign(Enum):
    """What one line points to."""

    HARMLESS = "alarming words, and the program runs on"
    RETRY = "the allocation that failed is tried again in another way"
    DEVICE_LOST = "the card stopped answering or faulted"
    DRIVER_MISSING = "CUDA gave up: no driver, no card, or no kernel for this card"
    BAD_CONFIG = "a knob or a combination of knobs that cannot be"
    KV_ALLOCATION = "the KV cache (or recurrent state) was refused"
    COMPUTE_ALLOCATION = "the compute buffer was refused"
    HOST_OOM = "the host ran out of memory"
    WEIGHTS_ALLOCATION = "a buffer for weights was refused"
    HOST_ALLOCATION = "a buffer in host memory was refused, its purpose is in another line"
    DEVICE_ALLOCATION = "a buffer on a card was refused, its purpose is in another line"
    POOL_ABORT = "a run-time allocation was refused and the process aborts"
    DEVICE_ABORT = (
        "CUDA ran out of memory and the process aborts, at a place that the line does not name"
    )
    BAD_MODEL = "the file is no model that this build can load"
    NO_CARD = "no card was found; the program may go on without"
    BAD_REQUEST = "one request cannot be served as it is; the program may go on without it"
    DECODE_FAILED = "a decode failed, the cause is in another line"
    TIMEOUT = "something waited too long"
    CRASH = "the process died and the line does not say why"
    LOAD_FAILED = "loading the model failed, the cause is in another line"
    CONTEXT_FAILED = "making the context failed, the cause is in another line"
    REQUEST_FAILED = "a request was answered with a server's error"
    ENDED = "somebody outside ended the process"
    EXITED = "the program ended with an exit code that says no more than that it failed"


_GPU_ERROR: Final = r"(?:CUDA|ROCm|HIP|MUSA) error(?: \d+)?(?: at [^ ]+)?: ?"
_OUT_OF_MEMORY: Final = (
    r"(?:out of memory|OUT_OF_MEMORY|ErrorOutOfDeviceMemory|ErrorMemoryAllocation)"
)
_HOST_BUFFER: Final = r"(?:CPU(?:_\w+)?|CUDA_Host|ROCm_Host|Vulkan_Host|SYCL_Host|AMX|BLAS)"

# The order is that of precedence within a line: the first that matches counts.
_KILLED: Final = (
    r"[Ee]xit ?[Cc]ode\"?: *137",
    r"signal: killed|^\s*Killed\b|\d+ Killed\s|\d+ killed +\S|\bKilled: 9\b",
    r"died with <Signals\.SIGKILL|exit(?:ed)?(?: status| with| code)* 137",
)
"""SIGKILL, on the word of whoever started the process."""
_WORDS_OF_SIGNAL: Final = re.compile("|".join(_KILLED))
_PHRASES: Final[dict[Sign, tuple[str, ...]]] = {
    Sign.HARMLESS: (
        r"is not marked as EOG|failed to restore context checkpoint|error loading state: ",
        r"forcing full prompt re-processing|not supported .{0,40}- disabling",
        r"does not exist, will create",
        r"\(defaulting to|memory usage will increase|flash attention enabled but not supported",
        r"cache size limit reached|⚠ exceeds limit|failed to find ggml_backend_init",
        r"cannot fulfill margin|normal during (?:startup|memory fitting)",
        r"ctx_other to be set \(this warning is normal|failed to measure draft model memory",
        r"control-looking token|special_e\w+ is not in special|special_eog_ids contains",
        r"tokenizer config may be incorrect|missing pre-tokenizer type|GENERATION QUALITY",
        r"full capacity of the model will not be utilized|possible training context overflow",
        r"cannot be used with preferred buffer type|shifting is not supported for this context",
        r"recommended max working set size|failed to generate tool call example",
        r"failed to (?:mlock|munlock|VirtualLock|VirtualUnlock|set (?:min|process))",
        r"pinned memory: (?!no CUDA)",
        r"[Ff]ailed to allocate pinned memory",
        r"failed to fit params to free device memory|cannot meet free memory target",
        r"encountered an error while trying to fit params",
        r"failed to allocate graph, reserving",
        r"cannot reallocate multi buffer graph automatically",
        r"(?:madvise|posix_fadvise|munmap|PrefetchVirtualMemory)\b.{0,60}(?:failed|unavailable)",
        r"VRAM usage didn't recover within timeout",
        r"failed to (?:initialize|load) (?!model).{0,40}\b(?:backend\b|libggml)"
        r".{0,80}(?:\b|-)(?:rocm|hip|vulkan|sycl|cann|musa)\b",
        r"\"code\": ?4[0-9][0-9]\b",
        r"failed to (?:find a memory slot|find free space in the KV cache).{0,60}retry",
        r"cudaMemGetInfo failed .{0,60}returning 0/0",
        r"exceeds the training context of the model .{0,40}capping",
        r"falling back to (?:cpu|hipMalloc|buffered I/O)",
        r"Could not attach to process|ptrace: Operation not permitted",
        r"got exception: \{.{0,60}json\.exception\.parse_error",
    ),
    Sign.RETRY: (
        r"retrying without pipeline parallelism",
        r"model load failed, resetting",
        r"(?<!er )(?<!st )(?:retry|trying)[a-z]* (?:again )?with "
        r"(?:fewer|less|reduced|smaller|lower)",
    ),
    Sign.DEVICE_LOST: (
        _GPU_ERROR + r"CUDA-capable device\(s\) is/are busy",
        r"\bring \S+ timeout|device wedged|\bGPU (?:HANG|hang)\b|\bengine reset\b",
        _GPU_ERROR + r"(?:an )?illegal (?:memory access|instruction|address)",
        _GPU_ERROR + r"(?:unspecified launch failure|misaligned address|hardware stack error)",
        _GPU_ERROR + r"device-side assert",
        _GPU_ERROR
        + r"(?:uncorrectable|the launch timed out|unknown error|GPU is lost|external device)",
        _GPU_ERROR
        + r"(?:all CUDA-capable devices are busy|invalid program counter|invalid address space)",
        r"illegal memory access was encountered|unspecified launch failure",
        r"uncorrectable (?:ECC|NVLink) error",
        r"\bXid\b.{0,60}\b\d+,",
        r"GPU (?:is lost|has fallen off the bus)|fallen off the bus|GPU_IS_LOST",
        r"Unable to determine the device handle",
        r"DEVICE_LOST|ErrorDeviceLo|DeviceLostError|device lost|GPU reset",
        r"CS has been cancelled because the context is lost|\bVM_\w+_PROTECTION_FAULT",
        r"amdgpu: ring \w+ timeout",
        r"Memory access fault by GPU|GPU memory access fault|HSA_STATUS_ERROR_(?!OUT_OF)",
        r"HW Exception by GPU",
        r"CUBLAS_STATUS_(?:EXECUTION_FAILED|MAPPING_ERROR)",
        r"kIO(?:GPU|Accel)CommandBufferCallbackError(?!OutOfMemory)\w",
        r"(?:UR_RESULT|PI)_ERROR_DEVICE_LOST|ACL_ERROR_RT_(?:DEVICE_TASK_ABORT|AICORE)",
        r"(?:RPC|rpc).{0,40}(?:connection (?:lost|closed)|disconnected)",
    ),
    Sign.DRIVER_MISSING: (
        r"DeviceList is empty",
        r"version `GLIBC(?:XX)?_[0-9.]+' not found|no backends are loaded",
        r"\(available devices: 0\)|0[xX][cC]0000(?:135|139|142|07[bB])\b|3221225781",
        _GPU_ERROR + r"(?:invalid kernel file|device kernel image is invalid|shared object)",
        r"Failed to load shared library|cannot open shared object|DLL load failed",
        r"hipErrorNoBinaryForGpu",
        r"context pointer null|curCtx can not be null|libascendcl\S*: cannot open",
        r"VK_ERROR_(?:INCOMPATIBLE_DRIVER|INITIALIZATION_FAILED)|No device of requested type",
        _GPU_ERROR + r"(?:no (?:CUDA|ROCm)-capable device|no kernel image)",
        _GPU_ERROR + r"(?:CUDA )?driver version is insufficient",
        _GPU_ERROR + r"(?:initialization error|invalid device function|the provided PTX)",
        _GPU_ERROR + r"system (?:has|not yet)",
        _GPU_ERROR + r"(?:forward compatibility|named symbol not found|API call is not supported)",
        _GPU_ERROR + r"driver shutting down",
        r"driver version is insufficient|no kernel image is available|unsupported toolchain",
        r"has no device code compatible with",
        r"was not compiled for (?:this|the current) (?:GPU|device|arch)",
        r"CUBLAS_STATUS_ARCH_MISMATCH",
        r"lib(?:cuda|cudart|cublas|cublasLt|nvidia-ml|amdhip64|hipblas|rocblas|vulkan)"
        r"[\w.-]*: cannot open",
        r"(?:nvcuda|cudart64\w*|cublas64\w*)\.dll.{0,40}(?:not found|missing|could not)",
        r"ErrorIncompatibleDriver|ErrorExtensionNotPresent",
        r"rocBLAS error: Cannot read .*TensileLibrary",
    ),
    Sign.BAD_CONFIG: (
        r"argument -\S+: (?:invalid|expected)",
        r"Failed to create server socket|[Ff]ailed to connect to (?:RPC|rpc)",
        r"[Vv] cache quantization requires|quantized V cache (?:requires|was requested)",
        r"quantized (?:V|KV) cache.{0,40}(?:requires|not supported|without)",
        r"cache type \S+ with block size \d+ does not divide",
        r"does not support different K .*and V .*cache types",
        r"[Uu]nsupported (?:KV )?cache type|[Ii]nvalid (?:KV )?cache type",
        r"all tensors in the context are already allocated",
        r"GGML_ASSERT\(.{0,20}n_expert_used",
        r"n_expert_used.{0,30}(?:n_expert\b|must|exceed|greater)",
        r"GGML_ASSERT\(obj_new\)|not enough space in the context's memory pool",
        r"GGML_ASSERT\(.{0,60}(?:n_batch|n_ubatch|n_ctx|n_seq_max|n_outputs)",
        r"n_batch and n_ubatch cannot both be zero|cannot both be zero",
        r"SPLIT_MODE_\w+ (?:requires|is not|not)",
        r"split[ _-]mode.{0,40}not (?:supported|implemented)",
        r"invalid value for main_gpu|invalid device(?: ordinal|:)",
        r"requested device .{0,20}not found",
        r"(?<!CUDA )(?<!ROCm )(?<!HIP )error: (?:unknown|invalid|unrecognized) "
        r"(?:argument|option|parameter)",
        r"[Ii]nvalid argument: -|unknown argument|unrecognized option|invalid option",
        r"[Vv]ocab\w*.{0,60}(?:must match|does not match|do not match|mismatch|incompatible)",
        r"multimodal is not supported|does not support (?:images|vision|multimodal)",
        r"mismatch between text model.{0,60}mmproj|mmproj.{0,60}(?:mismatch|does not match)",
        r"cannot be (?:used|combined) (?:together )?with -|--[\w-]+ (?:requires|needs) -",
        r"custom template is not supported|chat template .{0,60}not supported",
        r"failed to (?:bind|listen)|EADDRINUSE",
        r"error while handling argument",
        r"unrecognized arguments:|invalid (?:parameter|argument) for (?:argument|option)?:? ?-",
        r"context type MTP requested but|model doesn't contain MTP layers",
        r"couldn't bind|[Aa]ddress already in use|unable to (?:bind|listen)",
        r"unexpected keyword argument|unknown buffer type|invalid (?:kv|KV) override",
        r"error parsing (?:kv|tensor)",
    ),
    Sign.KV_ALLOCATION: (
        r"failed to allocate buffer for (?:kv|rs|\w+ (?:kv|rs)|recurrent|\w+ compressor)",
        r"llama_kv_cache_init\(\) failed",
        r"failed to (?:create|initialize|allocate) (?:the )?(?:kv|KV|memory module)",
        r"kv_cache_init.{0,40}(?:failed|unable|out of memory)",
        r"unable to allocate KV cache|allocate .{0,30}\bKV cache\b.{0,20}failed",
    ),
    Sign.COMPUTE_ALLOCATION: (
        r"gallocr_reserve_n(?:_impl)?: failed to allocate (?!" + _HOST_BUFFER + r" buffer)",
        r"failed to (?:allocate|reserve) (?:the )?(?:compute|graph|worst-case|measure)",
        r"failed to allocate compute|graph_reserve: failed|unable to reserve compute",
        r"failed to (?:allocate|create|measure) compute (?:meta|pp|tg|buffer)",
    ),
    Sign.HOST_OOM: (
        r"(?:MapViewOfFile|CreateFileMapping).{0,60}(?:memory|quota)|lowmemorykiller|\bjetsam\b",
        *_KILLED,
        r"std::bad_alloc|bad allocation|bad_alloc error|\bMemoryError\b",
        r"ctx->mem_buffer != NULL|insufficient memory \(attempted to allocate",
        r"ggml_aligned_malloc: (?:insufficient|failed)",
        r"mmap failed: (?:Cannot|Not enough)",
        r"(?:read|mmap|malloc|alloc)\b.{0,40}Cannot allocate memory",
        r"[Oo]ut of memory: Kill(?:ed)? process|oom-kill|OOM killer|OOMKilled|[Oo]om_kill",
        r"Killed process \d+",
        r"requires more system memory|model request too large for system",
        r"insufficient system (?:memory|resources)",
        r"paging file is too small|not enough memory: you tried to allocate",
        r"[Nn]ot enough (?:system )?(?:RAM|host memory)",
        r"failed to allocate (?:[\d.]+ (?:MB|bytes)|context for|\d+ bytes)",
        r"memory size overflow while allocating",
    ),
    Sign.HOST_ALLOCATION: (
        r"cpu_buffer_type_alloc_buffer: failed",
        r"(?:failed|unable) to allocate " + _HOST_BUFFER + r"(?:_Mapped)? buffer",
    ),
    Sign.WEIGHTS_ALLOCATION: (
        r"error loading model: unable to allocate (?!" + _HOST_BUFFER + r" buffer)",
        r"error loading model: (?:failed to allocate|[Ee]rror allocating|unable to create)"
        r".{0,30}(?:buffer|memory)",
        r"error loading model: .{0,60}" + _OUT_OF_MEMORY,
        r"memory layout cannot be allocated",
        r"unable to allocate (?:backend|(?:CUDA|ROCm|Vulkan|SYCL|Metal|MTL|HIP)\w*) buffer",
    ),
    Sign.POOL_ABORT: (
        _GPU_ERROR + r"the (?:resource allocation failed|library was not initialized)",
        r"in function (?:alloc|ggml_cuda_pool|cublas_handle)\b",
        r"cuMem(?:Create|SetAccess|Map|AddressReserve)\(|cublas_workspaces",
        r"cublasCreate(?:_v2)?\(",
        r"cudaGraphInstantiate\(|cudaStreamCreate\w*\(|cudaEventCreate\w*\(",
        r"ggml_cuda_pool_(?:vmm|leg|malloc)",
        r"CUBLAS_STATUS_(?:ALLOC_FAILED|NOT_INITIALIZED)|HSA_STATUS_ERROR_OUT_OF_RESOURCES",
        r"kIO(?:GPU|Accel)CommandBufferCallbackErrorOutOfMemory",
        r"command buffer \d+ failed.{0,60}Insufficient Memory",
    ),
    Sign.DEVICE_ABORT: (
        r"OpenCL error: .{0,60}-[45]\b",
        _GPU_ERROR + r"out of memory",
        r"CUDA_ERROR_OUT_OF_MEMORY|hipErrorOutOfMemory|Not enough memory for command submission",
        r"(?:UR_RESULT|PI)_ERROR_OUT_OF_(?:DEVICE_MEMORY|HOST_MEMORY|RESOURCES)",
        r"ggml_opencl: .{0,400}error -[45]\b|^\W{0,4}(?:error: )?[Oo]ut of memory\W{0,3}$",
        r"CL_MEM_OBJECT_ALLOCATION_FAILURE|CL_OUT_OF_(?:RESOURCES|HOST_MEMORY)",
        r"ACL_ERROR_(?:RT_)?(?:STORAGE_OVER_LIMIT|MEMORY_ALLOCATION)|EL0004",
    ),
    Sign.DEVICE_ALLOCATION: (
        r"failed to allocate (?!" + _HOST_BUFFER + r")[A-Z]\w+(?:\[\S{1,60}\])? buffer of size",
        r"is larger than (?:the )?buffer maximum|[Rr]equested buffer size exceeds",
        r"exceeds? .{0,30}(?:maxMemoryAllocationSize|maxBufferSize|max\w* (?:buffer|allocation))",
        r"CL_INVALID_BUFFER_SIZE|VK_ERROR_OUT_OF_(?:DEVICE|HOST)_MEMORY|aclrtMalloc.{0,60}failed",
        r"(?:cuda|hip|musa)Malloc\w* failed: " + _OUT_OF_MEMORY,
        r"alloc_tensor_range: failed to allocate",
        r"(?:device|Device) memory allocation of size \d+ failed",
        r"vk::\S+: " + _OUT_OF_MEMORY + r"|ErrorOutOfDeviceMemory|ErrorOutOfHostMemory",
        r"buffer_type_alloc_buffer: .{0,80}(?:failed|out of memory)",
        r"can't allocate \d+ Bytes of memory on device",
        r"ggml_metal\S*: error: failed to allocate|insufficient VRAM to load",
        r"insufficient memory - required allocations",
        r"(?:not enough|insufficient) (?:VRAM|GPU memory|device memory)|CUDA out of memory",
    ),
    Sign.BAD_MODEL: (
        r"GET failed \(404\)|failed to resolve commit|no GGUF files found",
        r"failed to (?:seek|read) (?:for )?tensor|failed to (?:apply|load) (?:lora|LoRA)",
        r"unknown model architecture|unsupported model architecture",
        r"does not (?:yet )?support (?:this|the) model",
        r"model (?:architecture )?(?:is )?not supported by (?:your|this) version",
        r"unsupported architecture",
        r"(?:invalid|bad|wrong|failed to read) (?:file )?magic|magic/version mismatch",
        r"unknown \(magic, version\)",
        r"not within the file bounds|model is corrupted or incomplete",
        r"unexpectedly reached end of file|file is truncated",
        r"tensor '?[\w.]+'? (?:not found|is missing|has wrong|has invalid|has unexpected|data is)",
        r"missing tensor",
        r"wrong number of tensors|check_tensor_dims|done_getting_tensors",
        r"key not found in model|error reading.*hyperparam",
        r"error loading model (?:hyperparameters|vocabulary|architecture)|unknown pre-tokenizer",
        r"cannot find tokenizer",
        r"GGUFv1 is no longer supported|unsupported (?:file|GGUF) version|no longer supported",
        r"too old, regenerate",
        r"gguf_init_from_(?:file|reader)\w*: (?:failed|invalid|tensor|key|duplicate|encountered)",
        r"failed to open GGUF file",
        r"(?:illegal|invalid|missing|wrong).{0,20}split",
        r"failed to load GGUF split|invalid ggml type|unknown type in GGUF",
        r"Model path does not exist|[Nn]o such file or directory.{0,80}gguf",
        r"gguf.{0,80}No such file or directory",
        r"CLIP cannot be used as main model|invalid model file",
        r"failed to read (?:header|key-value|tensor)|unsupported (?:tensor|quantization) type",
        r"pull model manifest|error loading model: (?!.{0,40}(?:alloc|memory|::|vector))",
    ),
    Sign.NO_CARD: (
        r"nvcuda init failure|cuInit err: [1-9]|symbol lookup for cu\w+ failed",
        r"driver library failed to get device context|nvml vram init failure",
        r"amdgpu.{0,40}not supported|not supported by (?:ROCm|HIP)|ggml_vulkan: No devices found",
        r"(?:failure|failed|error) .{0,40}GPU discovery|GPU discovery.{0,40}(?:failed|failure)",
        r"failed to initialize (?:CUDA|ROCm|HIP|Vulkan)",
        r"no (?:CUDA|ROCm|HIP|Vulkan)(?:-capable)? devices? (?:is |are |were )?(?:found|detected)",
        r"pinned memory: no CUDA|no compatible GPUs|no usable GPU found|no gpus? were found",
        r"not compiled with GPU(?: offload)? support",
        r"compiled without (?:support for )?GPU|NVML: Driver Not Loaded",
        r"couldn't communicate with the NVIDIA driver",
        r"failed to load \S*libggml-cuda|unsupported display driver",
    ),
    Sign.BAD_REQUEST: (
        r"failed to parse grammar|error parsing grammar",
        r"exceeds? the available context size|[Rr]equested tokens \(\d+\) exceed",
        r"prompt is too long|input is too large to process",
        r"failed to find (?:a )?(?:KV|memory) (?:cache )?slot",
    ),
    Sign.DECODE_FAILED: (
        r"runtime OOM detected",
        r"command buffer \d+ failed with status|graph_compute\S* failed",
        r"failed to (?:decode|eval|compute graph)|compute failed while",
        r"decode\S* returned -\d",
    ),
    Sign.TIMEOUT: (
        r"within (?:the )?timeout\b",
        r"failed starting/connecting to the gRPC service",
        r"health check (?:failed after|timed out)|(?:Read|Connect)Timeout|[Rr]ead timed out",
        r"\| 50[0-9] \| +[0-9]+m0s \||timed out waiting for|deadline exceeded",
        r"TimeoutExpired|DUE TO TIME LIMIT",
        r"(?:process|point|run) timed out",
        r"killed after \d+ ?s|watchdog.{0,30}(?:timeout|timed out)",
    ),
    Sign.ENDED: (
        r"signal: (?:terminated|interrupt)|[Rr]eceived (?:SIGTERM|SIGINT|signal (?:2|15)\b)",
        r"[Rr]eceived (?:second )?interrupt|KeyboardInterrupt|^\^C|^Terminated\b",
    ),
    Sign.CRASH: (
        r"pre-allocated tensor in a backend|\[\d+\] {1,12}[+-]? {0,3}\d+ abort|cuBLAS error",
        r"CUBLAS_STATUS_NOT_SUPPORTED|Exception caught at file",
        r"^Oops\(|abort\(\) has been called|ggml_print_backtrace|_ZSt\d+(?:unexpected|terminate)",
        r"error reading from server: EOF|invalid vector subscript|VMM Failure|OpenCL error",
        r"(?:UR_RESULT|PI)_ERROR_\w",
        r"SYCL error|Native API failed|CANN error|ggml_opencl: .{0,400}error -\d|buffer is nil",
        r"not enough space in the buffer|[Uu](?:ncaught|nhandled) exception|EXC_BAD_ACCESS",
        r"vector::_M_range_check|map::at|std::out_of_range|trap invalid opcode",
        r"RPC server crashed or returned malformed",
        r"could not load model: rpc error",
        r"[Ss]egmentation fault|\bsegfault at\b|SIGSEGV|SIGABRT|SIGILL|SIGBUS|SIGFPE",
        r"[Ii]llegal instruction|Bus error",
        r"GGML_ASSERT|GGML_ABORT|(?<!Generation )\bAborted\b|terminate called|core dumped|^panic:",
        r"fatal error",
        r"Floating point exception",
        r"access violation|0xc000000[0-9a-f]|0xC0000409|munmap_chunk\(\)",
        r"double free|corrupted (?:size|double|unsorted)",
        r"ggml-cuda[/\w.-]*\.cu\w*:\d+: (?:CUDA|ROCm) error|"
        + _GPU_ERROR
        + r"\S|OSError: exception",
        r"runner (?:process )?(?:has )?(?:terminated|no longer running|crashed)",
        r"Traceback \(most recent call last\)",
    ),
    Sign.LOAD_FAILED: (
        r"Load (?:Text )?Model OK: False",
        r"failed to load model|unable to load model|Failed to load model from file",
        r"failed to load (?:multimodal|mmproj|CLIP|draft|speculative)",
        r"exiting due to model loading error|exactly one out metadata",
        r"[Cc]ould not load (?:Llama )?model",
    ),
    Sign.CONTEXT_FAILED: (
        r"failed to create (?:the )?(?:llama_|\w{1,20} )?context|Failed to create llama_context",
        r"unable to create llama context",
        r"failed to (?:initialize|create) the context|failed to create_context",
        r"error: failed to create context",
    ),
    Sign.REQUEST_FAILED: (
        r"\| 50[0-24-9] \|.{0,80}(?:GET|POST)|(?:GET|POST) \S{1,200} \S{1,60} 50[0-24-9]\b",
        r"\"(?:GET|POST) [^\"]{1,200}\" 50[0-24-9]\b|\"code\": ?50[0-24-9]\b",
    ),
}
_SIGN_OF_ENDING: Final = {
    "ended": Sign.ENDED,
    "killed": Sign.ENDED,
    "crash": Sign.CRASH,
    "missing": Sign.DRIVER_MISSING,
}
_ERROR_WORDS: Final = re.compile(
    r"\b(?:error|fail(?:ed|ure|s)?|exception|terminat\w+|backtrace|abort\w*|fatal|panic|unable to"
    r"|crash\w*|died|stopped working|not found|undefined symbol|no backends|giving up"
    r"|cannot|can't|could not|couldn't|refused|denied|corrupt\w*|invalid|not supported"
    r"|unsupported|missing)\b",
    re.IGNORECASE,
)
_NO_ERROR: Final = re.compile(
    r"raise_exception|\b[Ww](?:arning|ARNING)\b|\b(?:0|no) errors?\b|errors?[ =:]+0\b"
    r"|ignore_errors|error_log|max_errors"
)


@cache
def _phrases() -> tuple[tuple[Sign, Phrases], ...]:
    return tuple((sign, Phrases(patterns)) for sign, patterns in _PHRASES.items())


@lru_cache(REMEMBERED)
def sign_of(line: str) -> Sign | None:
    """What the line points to, None for an ordinary line."""
    sign = next((sign for sign, phrases in _phrases() if phrases.found_in(line)), None)
    code = logged_ending(line) if sign is None else None
    if code in (None, 0):
        return sign
    ending = ending_of(code)
    return Sign.EXITED if ending is None else _SIGN_OF_ENDING[ending.kind]


def is_word_of_signal(line: str) -> bool:
    """Whether the line says that a process was ended by SIGKILL, and not by whom: a shell's word
    for the kernel's kills and anybody's."""
    return _WORDS_OF_SIGNAL.search(line) is not None


def looks_like_error(line: str, level: str = "") -> bool:
    """Whether a line that no phrase knows sounds like a failure: by its level, or its words."""
    if _NO_ERROR.search(line) or level == "W":
        return False
    return level == "E" or _ERROR_WORDS.search(line) is not None
