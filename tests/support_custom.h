/*
 * y = x^3 w of x [rows columns] and w [columns], with its gradient: compiled into tests/custom.c,
 * and its text printed into a trainer.
 */
static void scaled(void *user, int by, const tp_array in[], const tp_array *out)
{
    const float *x = in[0].data, *w = in[1].data;
    float *y = out->data;

    (void)user, (void)by;
    for (long i = 0; i < out->dim[0]; i++)
        for (long j = 0; j < out->dim[1]; j++) {
            const float a = x[i * in[0].pitch[0] + j];
            y[i * out->pitch[0] + j] = a * a * a * w[j];
        }
}

static void scaled_gradient(void *user, int by, const tp_array in[], const tp_array *out)
{
    const float *x = in[0].data, *w = in[1].data, *dy = in[3].data;
    float *d = out->data;

    (void)user;
    for (long j = 0; by == 1 && j < out->dim[0]; j++)
        d[j] = 0;
    for (long i = 0; i < in[3].dim[0]; i++)
        for (long j = 0; j < in[3].dim[1]; j++) {
            const float a = x[i * in[0].pitch[0] + j], g = dy[i * in[3].pitch[0] + j];
            if (by == 0)
                d[i * out->pitch[0] + j] = 3 * a * a * w[j] * g;
            else
                d[j] += a * a * a * g;
        }
}
