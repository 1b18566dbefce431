/*
 * What a GPU is told: launches of kernels, their blocks and threads, and where their arrays are.
 */
#include "loop.h"

void loop_grid(const struct loop_kernel *k, int64_t *blocks, int64_t *threads)
{
    *blocks = *threads = 1;
    for (int i = 0; i < k->axes; i++)
        if (k->axis[i].role == LOOP_GRID)
            *blocks = k->axis[i].hi;
        else if (k->axis[i].role == LOOP_BLOCK)
            *threads = k->axis[i].hi;
}

const struct loop_kernel *loop_function(const struct loop_kernel *k)
{
    return k->first ? k->first : k;
}

int loop_arrays(const struct loop_kernel *k)
{
    int arrays = 0;

    for (int b = 0; b < k->buffers; b++)
        arrays += !k->buffer[b].scratch;
    return arrays;
}

int64_t loop_launch_blocks(const struct loop_program *p, const struct loop_launch *l, int i)
{
    int64_t blocks, threads;

    loop_grid(loop_function(p->kernel[l->kernel[i]]), &blocks, &threads);
    return (blocks * threads + l->threads - 1) / l->threads;
}

int loop_launch_arrays(const struct loop_program *p, const struct loop_launch *l,
                       const struct loop_buffer **array)
{
    int arrays = 0;

    for (int i = 0; i < l->kernels; i++) {
        const struct loop_kernel *k = p->kernel[l->kernel[i]];
        for (int b = 0; b < k->buffers; b++)
            if (!k->buffer[b].scratch) {
                if (array)
                    array[arrays] = &k->buffer[b];
                arrays++;
            }
    }
    return arrays;
}
