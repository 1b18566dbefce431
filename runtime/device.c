/*
 * device: one GPU, by way of the driver's functions: its context, two streams, and the memory of
 * the states, which all programs of a graph share.
 */
#include "runtime/cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A status of the driver as an error: which call, what it is called, and why where that is known.
 */
bool run_cuda_check(const struct run_device *d, int status, const char *call,
                    struct ir_error *error)
{
    const char *name = NULL, *text = NULL, *why = d->cuda.reason ? d->cuda.reason() : NULL;

    if (status == 0)
        return true;
    if (d->cuda.error_name(status, &name) != 0 || !name)
        name = "an unknown error";
    if (why)
        text = why;
    else if (d->cuda.error_string(status, &text) != 0 || !text)
        text = "no more is known";
    return ir_error(error, IR_FAILED, "%s: %s: %s: %.250s", d->name, call, name, text);
}

bool run_device_alloc(struct run_device *d, size_t bytes, const char *what, run_cuda_memory *memory,
                      struct ir_error *error)
{
    size_t available = 0, total = 0;
    const int status = d->cuda.memory_alloc(memory, bytes ? bytes : 1);

    if (status != RUN_CUDA_NO_MEMORY)
        return run_cuda_check(d, status, "memory_alloc", error);
    *memory = 0;
    if (d->cuda.memory_info(&available, &total) != 0)
        available = total = 0;
    return ir_error(error, IR_FAILED,
                    "%s: not enough memory: %s needs %zu MiB, %zu of %zu MiB are free", d->name,
                    what, (bytes >> 20) + 1, available >> 20, total >> 20);
}

/* "cuda:1" is device 1 of what "cuda" names */
static bool read_name(struct run_device *d, const char *name, struct ir_error *error)
{
    const char *colon = strchr(name, ':');
    const size_t length = colon ? (size_t)(colon - name) : strlen(name);
    char *end = NULL;

    d->emulated = length == 8 && strncmp(name, "cuda-emu", 8) == 0;
    if (colon)
        d->ordinal = (int)strtol(colon + 1, &end, 10);
    if ((!d->emulated && !(length == 4 && strncmp(name, "cuda", 4) == 0)) ||
        (colon &&
         (end == colon + 1 || *end || colon[1] < '0' || colon[1] > '9' || strlen(colon) > 4)))
        return ir_error(error, IR_REFUSED,
                        "--device \"%.40s\": expected cpu, cuda or cuda-emu; cuda:1 is the second",
                        name);
    return true;
}

static bool find_device(struct run_device *d, int *device, struct ir_error *error)
{
    int count = 0, major = 0, minor = 0, status = d->cuda.init(0);

    snprintf(d->name, sizeof d->name, "--device cuda");
    if (status == 0)
        status = d->cuda.device_count(&count);
    if (status == RUN_CUDA_NO_DEVICE || (status == 0 && count == 0))
        return ir_error(error, IR_UNSUPPORTED,
                        "--device cuda: NVIDIA's driver is here, but it finds no GPU; --device "
                        "cuda-emu needs none");
    if (!run_cuda_check(d, status, "init", error))
        return false;
    if (d->ordinal >= count)
        return ir_error(error, IR_REFUSED, "--device %s:%d: there are %d; the first is 0",
                        d->emulated ? "cuda-emu" : "cuda", d->ordinal, count);
    if (!run_cuda_check(d, d->cuda.device_get(device, d->ordinal), "device_get", error) ||
        !run_cuda_check(d, d->cuda.device_attribute(&d->processors, RUN_CUDA_PROCESSORS, *device),
                        "device_attribute", error) ||
        !run_cuda_check(d, d->cuda.device_attribute(&major, RUN_CUDA_MAJOR, *device),
                        "device_attribute", error) ||
        !run_cuda_check(d, d->cuda.device_attribute(&minor, RUN_CUDA_MINOR, *device),
                        "device_attribute", error))
        return false;
    /* from 9.0 on, what a machine alone has is asked for by an `a` */
    snprintf(d->arch, sizeof d->arch, "sm_%d%d%s", major, minor, major >= 9 ? "a" : "");
    if (d->cuda.device_name(d->name, sizeof d->name - 1, *device) != 0)
        snprintf(d->name, sizeof d->name, "the GPU");
    return true;
}

struct run_device *run_device_open(const char *name, struct ir_error *error)
{
    struct run_device *d = calloc(1, sizeof *d);
    int device = 0;

    if (!d) {
        ir_error(error, IR_FAILED, "device: not enough memory");
        return NULL;
    }
    bool ok = read_name(d, name, error);
    if (ok && d->emulated)
        run_cuda_emulated(&d->cuda);
    else if (ok)
        ok = run_cuda_open(&d->cuda, error);
    ok = ok && find_device(d, &device, error);
    if (ok && run_cuda_check(d, d->cuda.context_retain(&d->context, device), "context", error))
        d->retained = true;
    ok = ok && d->retained &&
         run_cuda_check(d, d->cuda.context_current(d->context), "context", error) &&
         run_cuda_check(d, d->cuda.stream_create(&d->compute, 1), "stream", error) &&
         run_cuda_check(d, d->cuda.stream_create(&d->copies, 1), "stream", error);
    if (ok)
        return d;
    run_device_free(d);
    return NULL;
}

void run_device_free(struct run_device *d)
{
    if (!d)
        return;
    if (d->retained) {
        d->cuda.context_current(d->context);
        if (d->compute) {
            d->cuda.stream_synchronize(d->compute);
            d->cuda.stream_destroy(d->compute);
        }
        if (d->copies)
            d->cuda.stream_destroy(d->copies);
        if (d->states)
            d->cuda.memory_free(d->states);
        d->cuda.context_release(d->ordinal);
    }
    free(d);
}

const char *run_device_arch(const struct run_device *d)
{
    return d->arch;
}

const char *run_device_name(const struct run_device *d)
{
    return d->name;
}

int run_device_processors(const struct run_device *d)
{
    return d->processors;
}

bool run_device_apart(const struct run_device *d)
{
    return !d->emulated;
}

/* It moves when it has to grow; launches are told by the serial. */
static bool grow_states(struct run_device *d, size_t bytes, struct ir_error *error)
{
    run_cuda_memory memory = 0;

    if (bytes <= d->state_bytes)
        return true;
    if (d->states) {
        d->cuda.memory_free(d->states);
        d->states = 0;
        d->state_bytes = 0;
    }
    if (!run_device_alloc(d, bytes, "the parameters and moments", &memory, error))
        return false;
    d->states = memory;
    d->state_bytes = bytes;
    d->state_serial++;
    return true;
}

bool run_device_put_states(struct run_device *d, const void *states, size_t bytes,
                           struct ir_error *error)
{
    const struct run_cuda *c = &d->cuda;

    return run_cuda_check(d, c->context_current(d->context), "context", error) &&
           run_cuda_check(d, c->stream_synchronize(d->compute), "the step", error) &&
           grow_states(d, bytes, error) &&
           (bytes == 0 ||
            run_cuda_check(d, c->upload(d->states, states, bytes, d->compute), "upload", error)) &&
           run_cuda_check(d, c->stream_synchronize(d->compute), "upload", error);
}

bool run_device_get_states(struct run_device *d, void *states, size_t bytes, struct ir_error *error)
{
    const struct run_cuda *c = &d->cuda;

    bytes = bytes < d->state_bytes ? bytes : d->state_bytes;
    return run_cuda_check(d, c->context_current(d->context), "context", error) &&
           (bytes == 0 || run_cuda_check(d, c->download(states, d->states, bytes, d->compute),
                                         "download", error)) &&
           run_cuda_check(d, c->stream_synchronize(d->compute), "the step", error);
}
