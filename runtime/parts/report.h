/*
 * Telling how a run goes: a bar that is drawn again on a terminal, a line an epoch elsewhere, and
 * a JSON object a line for programs.
 */
#ifndef PART_REPORT_H
#define PART_REPORT_H

struct report {
    bool json, bar;
    int64_t log_every;     /* steps; 0: not by step */
    int64_t epochs, steps; /* of the whole run */
    int64_t step;          /* taken */
    int64_t first;         /* those of a run before this one */
    double begun, drawn;   /* seconds */
};

struct report_epoch { /* what one has come to */
    int64_t number, batches;
    double loss, val_loss, val_accuracy, seconds;
    bool evaluated;
};

PART double report_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The shortest digits that read back as the same number. JSON has no NaN. */
PART void report_number(const char *name, double number)
{
    char text[40];

    snprintf(text, sizeof text, "null");
    for (int digits = 6; isfinite(number) && digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    printf(",\"%s\":%s", name, text);
}

PART void report_text(const char *name, const char *text)
{
    printf(",\"%s\":\"", name);
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text < 32)
            printf("\\u%04x", *text);
        else
            putchar(*text);
    putchar('"');
}

/* After each step. */
PART void report_step(struct report *r, double loss)
{
    const double now = report_seconds(), spent = now - r->begun;
    const double each = spent / (double)(r->step - r->first);

    if (r->log_every && r->step % r->log_every == 0 && r->json) {
        printf("{\"event\":\"step\",\"step\":%lld", (long long)r->step);
        report_number("loss", loss);
        printf("}\n");
    } else if (r->log_every && r->step % r->log_every == 0) {
        printf("%sstep %lld  loss %.5g\n", r->bar ? "\r\033[K" : "", (long long)r->step, loss);
    }
    if (r->bar && now - r->drawn > 0.1) {
        const int width = 24, full = (int)((double)width * (double)r->step / (double)r->steps);
        r->drawn = now;
        printf("\r%.*s%.*s %3.0f%%  loss %-8.4g %.0f steps/s  %.0f s left \033[K", full,
               "########################", width - full, "........................",
               100.0 * (double)r->step / (double)r->steps, loss, 1 / each,
               each * (double)(r->steps - r->step));
        fflush(stdout);
    }
}

PART void report_epoch(const struct report *r, const struct report_epoch *e)
{
    const double step_ms = 1e3 * e->seconds / (double)(e->batches ? e->batches : 1);

    if (r->json) {
        printf("{\"event\":\"epoch\",\"epoch\":%lld", (long long)e->number);
        report_number("loss", e->loss);
        if (e->evaluated) {
            report_number("val_loss", e->val_loss);
            if (!isnan(e->val_accuracy))
                report_number("val_accuracy", e->val_accuracy);
        }
        report_number("seconds", e->seconds);
        report_number("step_ms", step_ms);
        printf("}\n");
        fflush(stdout);
        return;
    }
    if (r->bar)
        printf("\r\033[K");
    /* hundreds of short epochs are not worth a line each */
    if (r->epochs > 50 && e->number % (r->epochs / 20) != 0 && e->number != r->epochs)
        return;
    printf("epoch %lld/%lld  loss %.4f", (long long)e->number, (long long)r->epochs, e->loss);
    if (e->evaluated)
        printf("  test loss %.4f", e->val_loss);
    if (e->evaluated && !isnan(e->val_accuracy))
        printf("  accuracy %.2f%%", 100 * e->val_accuracy);
    printf("  %.2f s, %.3f ms a step\n", e->seconds, step_ms);
    fflush(stdout);
}

/* At the end, with the last epoch's loss and accuracy (NAN: none); in words the caller ends the
 * line. */
PART void report_done(const struct report *r, double loss, double accuracy)
{
    const double seconds = report_seconds() - r->begun;

    if (!r->json) {
        printf("%lld steps in %.1f s", (long long)r->step, seconds);
        return;
    }
    printf("{\"event\":\"done\",\"steps\":%lld", (long long)r->step);
    report_number("loss", loss);
    if (!isnan(accuracy))
        report_number("val_accuracy", accuracy);
    report_number("seconds", seconds);
    printf("}\n");
}

#endif
