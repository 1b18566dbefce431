/*
 * The trainer's own text: what stands in trainer.c behind the tables, the kernels and the parts.
 * This is text, not code of the library. trainer.c prints it block by block; a line `/// WORDS`
 * begins a block that is printed where all of its words hold of the model (a word after `!`: where
 * it does not hold). Line comments are not used, for the first two slashes begin such a line.
 */

/// always

/// !gpu

/* ==== 4. Training =============================================================================
 *
 * From here on everything is about running: memory, files, epochs. Read from main(), at the end.
 */

/// gpu

/* ==== 5. Training =============================================================================
 *
 * From here on everything is about running: memory, files, epochs. Read from main(), at the end.
 */

/// always

struct trainer {
    const char *name; /* of this program, for messages */
    const char *data, *load, *save, *checkpoint, *resume;
    int64_t epochs, batch, seed, order_seed, threads, log_every, checkpoint_every;
    /// gpu
    int64_t gpu; /* which */
    /// always
    struct part_error error;
    char *base[2];        /* arena, states: what the kernels' pointers count from */
    char *plain;          /* room for states as files have them */
    char *tokens;         /* of a text: what they stand for, saved with the weights */
    long dims[DIMS];      /* dims[0] is the rows of the batch at hand */
    struct columns rows;  /* the data */
    struct batches order; /* how training goes through them */
    void *input[COLUMNS]; /* where the step wants each column's batch; NULL: it does not */
    struct columns test;  /* the same of rows that nothing is learnt from */
    struct batches test_order;
    void *test_input[COLUMNS];
    struct report report;
    /// probe
    struct events events;
    struct probe probe[PROBES];
    const char *log;
    /// always
    struct checkpoint_run run; /* how far it has come */
};

/// always

/* ---- numbers and states --------------------------------------------------------------------- */

/*
 * A state is what lives from step to step: a weight, a moment, a counter. In memory it lies in the
 * order that the kernels read fastest; in files, and in `plain`, row-major, as in PyTorch.
 */

/* A number as the type has it; whole ones wrap. */
static void put_number(enum part_type type, void *to, double number)
{
    const unsigned bytes = part_types[type].bytes;

    if (type == PART_F32)
        *(float *)to = (float)number;
    else if (type == PART_F64)
        *(double *)to = number;
    else if (bytes == 1)
        *(uint8_t *)to = (uint8_t)(int64_t)number;
    else if (bytes == 2)
        *(uint16_t *)to = (uint16_t)(int64_t)number;
    else if (bytes == 4)
        *(uint32_t *)to = (uint32_t)(int64_t)number;
    else
        *(uint64_t *)to = (uint64_t)(int64_t)number;
}

/* Which element of its memory an index is. */
static int64_t place_of(const struct state *s, const int64_t index[])
{
    int64_t at = 0;

    for (int i = 0; i < s->terms; i++) {
        const struct term *m = &s->term[i];
        const int64_t quotient = index[m->axis] / m->divisor;
        at += m->pitch * (m->extent ? quotient % m->extent : quotient);
    }
    return at;
}

/* A state to row-major `plain` (out), or from there to where it lives. */
static bool move_state(void *trainer, int which, void *plain, bool out)
{
    const struct trainer *t = (const struct trainer *)trainer;
    const struct state *s = &states[which];
    const size_t bytes = part_types[s->type].bytes;
    char *memory = t->base[1] + s->offset, *row_major = (char *)plain;
    int64_t index[8] = { 0 };

    for (int64_t i = 0; i < s->elements; i++, row_major += bytes) {
        char *stored = memory + (size_t)place_of(s, index) * bytes;

        memcpy(out ? row_major : stored, out ? stored : row_major, bytes);
        for (int axis = s->rank; axis-- > 0 && ++index[axis] == s->dim[axis];)
            index[axis] = 0;
    }
    return true;
}

/* The numbers that training begins with: the same for the same seed, on every machine. */
static void begin_states(struct trainer *t)
{
    for (int i = 0; i < STATES; i++) {
        const struct state *s = &states[i];
        const size_t bytes = part_types[s->type].bytes;
        double two[2];
        uint32_t key[2];

        initial_key(key, s->name, (uint64_t)t->seed);
        for (int64_t k = 0; k < s->elements; k++) {
            if (k % 2 == 0)
                initial_pair(two, s->begins, s->a, s->b, key, (uint64_t)k / 2);
            put_number(s->type, t->plain + (size_t)k * bytes, two[k % 2]);
        }
        if (s->numbers)
            memcpy(t->plain, s->numbers, (size_t)s->elements * bytes);
        move_state(t, i, t->plain, false);
    }
}

/* ---- weights in files: safetensors, with PyTorch's names and shapes ------------------------- */

/* Everything is compared before the first weight changes. */
static bool load_weights(struct trainer *t)
{
    struct safetensors file;

    if (!safetensors_open(&file, t->load, &t->error))
        return false;
    for (int i = 0; i < STATES && !t->error.status; i++) {
        const struct state *s = &states[i];
        const struct safetensor *found = s->saved ? safetensors_find(&file, s->name) : NULL;
        bool wide = found && (found->type == PART_F16 || found->type == PART_BF16);

        if (s->saved && !found)
            part_fail(&t->error, PART_REFUSED, "%.200s: there is no %.100s; expected each weight",
                      t->load, s->name);
        else if (found && ((found->type != s->type && !(wide && s->type == PART_F32)) ||
                           found->rank != s->rank ||
                           memcmp(found->dim, s->dim, (size_t)s->rank * sizeof *s->dim) != 0))
            part_fail(&t->error, PART_REFUSED,
                      "%.200s: %.100s has another type or shape than this model's", t->load,
                      s->name);
    }
    for (int64_t i = 0; i < file.count && !t->error.status; i++) {
        const char *name = file.tensor[i].name, *leaf = strrchr(name, '.');
        bool known = strcmp(leaf ? leaf + 1 : name, "num_batches_tracked") == 0 ||
                     strncmp(name, "array.", 6) == 0;

        for (int k = 0; k < STATES && !known; k++)
            known = states[k].saved && strcmp(states[k].name, name) == 0;
        if (!known)
            part_fail(&t->error, PART_REFUSED, "%.200s: nothing here is called %.100s", t->load,
                      name);
    }
    for (int i = 0; i < STATES && !t->error.status; i++)
        if (states[i].saved && safetensors_read(&file, safetensors_find(&file, states[i].name),
                                                true, t->plain, &t->error))
            move_state(t, i, t->plain, false);
    safetensors_close(&file);
    return !t->error.status;
}

static bool save_weights(struct trainer *t)
{
    struct safetensors_pair note[NOTES + 1];
    struct safetensor tensor[STATES];
    char *plain = t->plain;
    int count = 0;

    /// gpu
    if (!gpu_fetch_states(t->base, &t->error))
        return false;
    /// always
    for (int i = 0; i < STATES; i++) {
        const struct state *s = &states[i];
        struct safetensor *to = &tensor[count];

        if (!s->saved)
            continue;
        *to = (struct safetensor){ .name = (char *)s->name,
                                   .type = s->type,
                                   .rank = s->rank,
                                   .bytes = (uint64_t)s->elements * part_types[s->type].bytes,
                                   .data = plain };
        memcpy(to->dim, s->dim, sizeof s->dim);
        move_state(t, i, plain, true);
        plain += (to->bytes + 7) / 8 * 8;
        count++;
    }
    memcpy(note, notes, sizeof notes);
    note[NOTES] = (struct safetensors_pair){ (char *)"taper.tokens", t->tokens };
    return safetensors_write(t->save, count, tensor, t->tokens ? NOTES + 1 : 1, note, &t->error);
}

/* ---- checkpoints: everything that a run goes on from ---------------------------------------- */

static struct checkpoint checkpoint_of(struct trainer *t, struct checkpoint_state state[STATES],
                                       struct checkpoint_number number[CHECKPOINT_RUN])
{
    for (int i = 0; i < STATES; i++) {
        state[i] = (struct checkpoint_state){ .name = states[i].name,
                                              .type = states[i].type,
                                              .rank = states[i].rank };
        memcpy(state[i].dim, states[i].dim, sizeof states[i].dim);
    }
    checkpoint_of_run(&t->run, number);
    return (struct checkpoint){ .numbers = CHECKPOINT_RUN,
                                .states = STATES,
                                .number = number,
                                .state = state,
                                .move = move_state,
                                .user = t };
}

static bool write_checkpoint(struct trainer *t)
{
    struct checkpoint_state state[STATES];
    struct checkpoint_number number[CHECKPOINT_RUN];
    struct checkpoint all;

    /// gpu
    if (!gpu_fetch_states(t->base, &t->error))
        return false;
    /// always
    t->run.position = t->order.position;
    t->run.ended = t->order.ended;
    all = checkpoint_of(t, state, number);
    fflush(stdout); /* what was told before it will not be told again */
    return checkpoint_write(t->checkpoint, &all, &t->error);
}

/* Goes on where the run stood that wrote it, to the same bits as if it had never stopped. */
static bool resume(struct trainer *t)
{
    struct checkpoint_state state[STATES];
    struct checkpoint_number number[CHECKPOINT_RUN];
    struct checkpoint all = checkpoint_of(t, state, number);
    char said[400];

    if (!checkpoint_read(t->resume, &all, said, &t->error))
        return false;
    if (said[0])
        fprintf(stderr, "%s: %s\n", t->name, said);
    checkpoint_to_run(number, &t->run);
    if (!batches_seek(&t->order, t->run.position, t->run.ended != 0) || t->run.epoch < 1 ||
        t->run.step < 0)
        return part_fail(&t->error, PART_REFUSED,
                         "%.250s: checkpoint: it is at no place of the data", t->resume);
    t->report.step = t->report.first = t->run.step;
    return true;
}

/* ---- data ----------------------------------------------------------------------------------- */

/// idx

/* A folder as MNIST's: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-.. */
static bool read_rows(struct trainer *t, const char *part, struct columns *to)
{
    return idx_read(t->data, part, to, &t->error);
}

/// cifar

/* A folder as CIFAR-10's: data_batch_1.bin .. 5, test_batch.bin */
static bool read_rows(struct trainer *t, const char *part, struct columns *to)
{
    return cifar_read(t->data, part, to, &t->error);
}

/// npy

/* A folder with x.npy, y.npy, x_test.npy .. */
static bool read_rows(struct trainer *t, const char *part, struct columns *to)
{
    return npy_read_folder(t->data, part, to, &t->error);
}

/// npz

/* A zip of NumPy's with x, y, x_test .. */
static bool read_rows(struct trainer *t, const char *part, struct columns *to)
{
    return npz_read(t->data, part, to, &t->error);
}

/// csv

/* A table: features and a label. */
static bool read_rows(struct trainer *t, const char *part, struct columns *to)
{
    return csv_read(t->data, DATA_LABEL, part, to, &t->error);
}

/// text

/* A text in windows of its characters. */
static bool read_rows(struct trainer *t, const char *part, struct columns *to)
{
    struct text_vocabulary v;
    const int64_t step = to == &t->test ? TEST_STEP : TRAIN_STEP;
    const bool done = text_windows(t->data, DATA_CONTEXT, step, part, to, &v, &t->error) &&
                      (t->tokens || text_tokens(&v, &t->tokens, &t->error));

    text_vocabulary_free(&v);
    return done;
}

/// names

/* Names, one a line: each letter and those before it. */
static bool read_rows(struct trainer *t, const char *part, struct columns *to)
{
    struct text_vocabulary v;
    const bool done = text_names(t->data, DATA_CONTEXT, part, to, &v, &t->error) &&
                      (t->tokens || text_tokens(&v, &t->tokens, &t->error));

    text_vocabulary_free(&v);
    return done;
}

/// words

/* Sentences and their classes: train.tsv, dev.tsv. */
static bool read_rows(struct trainer *t, const char *part, struct columns *to)
{
    struct text_vocabulary v;
    const bool done =
        text_sentences(t->data, DATA_CONTEXT, DATA_VOCABULARY, part, to, &v, &t->error) &&
        (t->tokens || text_tokens(&v, &t->tokens, &t->error));

    text_vocabulary_free(&v);
    return done;
}

/// digits

/* Digits that are drawn as they are needed: 6000 to learn, 1000 to be tried on. */
static bool read_rows(struct trainer *t, const char *part, struct columns *to)
{
    const bool test = strcmp(part, "test") == 0;

    return digits_make(DATA_ROWS ? DATA_ROWS
                       : test    ? 1000
                                 : 6000,
                       2 * (uint64_t)t->order_seed + test, to, &t->error);
}

/// planar

/* Points of the plane, drawn: the test's have a seed of their own. */
static bool read_rows(struct trainer *t, const char *part, struct columns *to)
{
    return planar_make(DATA, DATA_ROWS, DATA_NOISE,
                       2 * (uint64_t)t->order_seed + (strcmp(part, "test") == 0), to, &t->error);
}

/// always

/* Where a program wants each column: those of its inputs' names, which must be as it was built. */
static bool bind(struct trainer *t, struct columns *rows, const int64_t offset[INPUTS],
                 void *to[COLUMNS])
{
    if (CLASSES > 0 && rows->classes > CLASSES)
        return part_fail(&t->error, PART_REFUSED,
                         "%.250s: it has %d classes; the model was built for %d", t->data,
                         rows->classes, CLASSES);
    for (int i = 0; i < INPUTS; i++) {
        const struct input *n = &inputs[i];
        struct column *c = columns_find(rows, n->name);

        if (offset[i] < 0)
            continue;
        if (!c || c->type != n->type || c->rank != n->rank ||
            memcmp(c->dim, n->dim, (size_t)n->rank * sizeof *n->dim) != 0)
            return part_fail(&t->error, PART_REFUSED,
                             "%.200s: its column \"%s\" %s; the model was built for rows of %s",
                             t->data, n->name, c ? "has another type or shape" : "is not there",
                             n->about);
        to[c - rows->column] = t->base[0] + offset[i];
    }
    return true;
}

/* ---- the work ------------------------------------------------------------------------------- */

/* One step, on the batch that the arena holds: forward, backward, update. Its loss. */
static double train_batch(struct trainer *t, int64_t rows)
{
    t->dims[0] = (long)rows;
    /// gpu
    if (!gpu_run(&step, t->base, t->dims, &t->error))
        return NAN;
    /// !gpu
    step(t->base, t->dims, (int)t->threads);
    /// always
    return (double)STEP_LOSS(t);
}

/// check

/* What the model's author wrote down as true. */
static bool holds(struct trainer *t)
{
    for (int i = 0; i < CHECKS; i++) {
        int64_t count;

        memcpy(&count, t->base[checks[i].base] + checks[i].offset, sizeof count);
        if (count > 0)
            return part_fail(&t->error, PART_FAILED, "%.300s: %lld false, in step %lld",
                             checks[i].text, (long long)count, (long long)t->run.step);
    }
    return true;
}

/// probe

/* What the step says of itself, every so many steps, for TensorBoard and as JSON lines. */
static bool log_step(struct trainer *t, double loss)
{
    if (t->run.step % (t->report.log_every ? t->report.log_every : 10) != 0)
        return true;
    if (t->report.json)
        events_print(t->run.step, PROBES, t->probe);
    return !t->events.file || (events_number(&t->events, t->run.step, "loss", loss, &t->error) &&
                               events_probes(&t->events, t->run.step, PROBES, t->probe, &t->error));
}

/// always

/* What is left of an epoch: all of it, but after --resume. */
static bool train_epoch(struct trainer *t, struct report_epoch *e)
{
    const double begun = report_seconds();
    struct checkpoint_run *run = &t->run;
    int64_t rows;

    while ((rows = batches_next(&t->order, t->input)) > 0) {
        const double loss = train_batch(t, rows);

        /// gpu
        if (t->error.status)
            return false;
        /// always
        run->loss += loss * (double)rows;
        run->seen += (double)rows;
        run->batches++;
        run->step++;
        e->batches++;
        t->report.step = run->step;
        report_step(&t->report, loss);
        /// check
        if (!holds(t))
            return false;
        /// probe
        if (!log_step(t, loss))
            return false;
        /// always
        if (t->checkpoint && t->checkpoint_every && run->step % t->checkpoint_every == 0 &&
            !write_checkpoint(t))
            return false;
    }
    e->number = run->epoch;
    e->loss = run->loss / run->seen;
    e->seconds = report_seconds() - begun;
    return true;
}

/// eval

static void evaluate(struct trainer *t, struct report_epoch *e)
{
    /// eval loss
    double loss = 0;
    /// eval hits
    double hits = 0;
    /// eval
    double seen = 0;
    int64_t rows;

    while ((rows = batches_next(&t->test_order, t->test_input)) > 0) {
        t->dims[0] = (long)rows;
        /// eval gpu
        if (!gpu_run(&eval, t->base, t->dims, &t->error))
            return;
        /// eval !gpu
        eval(t->base, t->dims, (int)t->threads);
        /// eval loss
        loss += (double)rows * (double)EVAL_LOSS(t);
        /// eval hits
        hits += (double)EVAL_HITS(t);
        /// eval
        seen += (double)rows;
    }
    /// eval loss
    e->val_loss = loss / seen;
    /// eval !loss
    e->val_loss = NAN;
    /// eval hits
    e->val_accuracy = hits / seen;
    /// eval
    e->evaluated = seen > 0;
}

/// always

static bool work(struct trainer *t)
{
    t->report.begun = report_seconds();
    while (t->run.epoch <= t->epochs) {
        struct report_epoch e = { .val_accuracy = NAN };

        if (!train_epoch(t, &e))
            return false;
        /// eval
        evaluate(t, &e);
        /// eval gpu
        if (t->error.status)
            return false;
        /// eval probe
        if (t->events.file && e.evaluated &&
            (!events_number(&t->events, t->run.step, "val_loss", e.val_loss, &t->error) ||
             (!isnan(e.val_accuracy) &&
              !events_number(&t->events, t->run.step, "val_accuracy", e.val_accuracy, &t->error))))
            return false;
        /// always
        t->run.epoch++;
        t->run.batches = 0;
        t->run.loss = t->run.seen = 0;
        t->run.last_loss = e.loss;
        t->run.last_accuracy = e.val_accuracy;
        report_epoch(&t->report, &e);
        if (t->checkpoint && !write_checkpoint(t))
            return false;
    }
    if (t->save && !save_weights(t))
        return false;
    report_done(&t->report, t->run.last_loss, t->run.last_accuracy);
    if (!t->report.json)
        printf("%s%s\n", t->save ? ", weights in " : "", t->save ? t->save : "");
    return true;
}

/* ---- the beginning -------------------------------------------------------------------------- */

/// !gpu

/* Whole huge pages where there are some: the kernels meet fewer misses. */
static char *get_memory(size_t bytes)
{
    const size_t page = bytes < 1 << 21 ? 4096 : 1 << 21;
    char *memory = aligned_alloc(page, (bytes + page - 1) / page * page);

#ifdef MADV_HUGEPAGE
    if (memory && page > 4096)
        madvise(memory, (bytes + page - 1) / page * page, MADV_HUGEPAGE);
#endif
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

/// gpu

/* Of the host's arena, only the batch and what a step says are ever touched. */
static char *get_memory(size_t bytes)
{
    char *memory = calloc(1, bytes);

    return memory;
}

/// always

/* The states, the arena and room for a copy of the weights are one piece; a step asks for none. */
static bool prepare_memory(struct trainer *t)
{
    char *memory = get_memory(STATE_BYTES + ARENA_BYTES + PLAIN_BYTES);

    if (!memory)
        return part_fail(&t->error, PART_FAILED, "no memory for %zu bytes",
                         STATE_BYTES + ARENA_BYTES + PLAIN_BYTES);
    t->base[1] = memory; /* before the arena: loads may touch a little of what lies behind */
    t->base[0] = memory + STATE_BYTES;
    t->plain = memory + STATE_BYTES + ARENA_BYTES;
    for (int i = 0; i < DIMS; i++)
        t->dims[i] = dims_most[i];
    /// probe
    for (int i = 0; i < PROBES; i++)
        t->probe[i] = (struct probe){ probes[i].tag, probes[i].histogram,
                                      t->base[probes[i].base] + probes[i].offset };
    /// always
    return true;
}

/// split

/* A part of the rows that were read. */
static bool narrow(struct trainer *t, struct batches *b, int64_t first, int64_t rows)
{
    if (first + rows > b->rows)
        return part_fail(&t->error, PART_REFUSED,
                         "%.250s: has %lld rows; %lld from %lld on are wanted", t->data,
                         (long long)b->rows, (long long)rows, (long long)first);
    b->first_row = first;
    b->rows = rows;
    b->batch = t->batch < rows ? t->batch : rows;
    return true;
}

/// always

static bool prepare_data(struct trainer *t)
{
    if (!read_rows(t, TRAIN_PART, &t->rows) || !bind(t, &t->rows, step_input, t->input))
        return false;
    t->order = batches_of(&t->rows, t->batch);
    /// split
    if (!narrow(t, &t->order, TRAIN_FIRST, TRAIN_ROWS))
        return false;
    /// always
    t->order.shuffle = SHUFFLE;
    t->order.drop_last = DROP_LAST;
    t->order.seed = (uint64_t)t->order_seed;
    if (DROP_LAST && t->batch > t->order.rows)
        return part_fail(&t->error, PART_REFUSED, "%.250s: its %lld rows fill no batch of %lld",
                         t->data, (long long)t->order.rows, (long long)t->batch);
    /// eval
    if (!read_rows(t, TEST_PART, &t->test) || !bind(t, &t->test, eval_input, t->test_input))
        return false;
    t->test_order = batches_of(&t->test, TEST_BATCH);
    /// split_test
    if (!narrow(t, &t->test_order, TEST_FIRST, TEST_ROWS))
        return false;
    t->test_order.batch = TEST_BATCH < TEST_ROWS ? TEST_BATCH : TEST_ROWS;
    /// always
    t->report.epochs = t->epochs;
    t->report.steps = t->epochs * batches_count(&t->order);
    t->run = (struct checkpoint_run){ .seed = t->seed,
                                      .order = SHUFFLE ? t->order_seed : -1,
                                      .rows = t->order.rows,
                                      .batch = t->order.batch,
                                      .epoch = 1 };
    if (RATE_STEPS && t->report.steps > RATE_STEPS)
        return part_fail(
            &t->error, PART_REFUSED,
            "%lld steps; the rate's schedule is compiled in, and ends after %lld: build "
            "again for more epochs or smaller batches",
            (long long)t->report.steps, (long long)RATE_STEPS);
    return true;
}

/* Better to hear of a name that cannot be written before an hour of training than after it. */
static bool writable(const char *path, struct part_error *error)
{
    struct aside file;

    if (!path)
        return true;
    if (!aside_open(&file, path, true, error))
        return false;
    aside_abandon(&file);
    return true;
}

static bool prepare(struct trainer *t)
{
    if (!prepare_memory(t) || !prepare_data(t))
        return false;
    begin_states(t);
    /// probe
    if (t->log && !events_open(&t->events, t->log, &t->error))
        return false;
    /// always
    /// gpu
    if (!gpu_open((int)t->gpu, &t->error))
        return false;
    /// always
    return (!t->load || load_weights(t)) && (!t->resume || resume(t)) &&
           writable(t->save, &t->error) && writable(t->checkpoint, &t->error);
}

static void tell_start(const struct trainer *t)
{
    if (t->report.json) {
        printf("{\"event\":\"start\"");
        report_text("model", MODEL);
        printf(",\"parameters\":%lld,\"arena_bytes\":%zu", (long long)PARAMETERS,
               (size_t)ARENA_BYTES);
        if (t->resume)
            printf(",\"resumed_step\":%lld", (long long)t->run.step);
        printf("}\n");
    } else {
        /// !gpu
        printf("%s on %s: %lld parameters, %lld rows in batches of %lld, %d thread%s\n", MODEL,
               t->data, (long long)PARAMETERS, (long long)t->order.rows, (long long)t->order.batch,
               (int)t->threads, t->threads > 1 ? "s" : "");
        /// gpu
        printf("%s on %s: %lld parameters, %lld rows in batches of %lld, %s\n", MODEL, t->data,
               (long long)PARAMETERS, (long long)t->order.rows, (long long)t->order.batch,
               gpu.name);
        /// always
        if (t->resume)
            printf("going on at epoch %lld, after %lld steps\n", (long long)t->run.epoch,
                   (long long)t->run.step);
    }
    fflush(stdout);
}

/* ---- the command ---------------------------------------------------------------------------- */

struct option {
    const char *name;
    char kind; /* s text, i whole number, b flag */
    void *to;
    const char *help;
};

/* What is part of the compiled step is no option here. */
static const char *const compiled_in[] = { "--lr",     "--opt",    "--schedule",     "--momentum",
                                           "--clip",   "--freeze", "--weight-decay", "--hidden",
                                           "--set",    "--points", "--noise",        "--device",
                                           "--memory", "--probe" };

static void help(const struct trainer *t, const struct option *options)
{
    printf("%s [options]\n\nTrains %s. Generated by taper; compile it again at will.\n\n", t->name,
           MODEL);
    for (const struct option *o = options; o->name; o++)
        printf("  %-22s %s\n", o->name, o->help);
    printf("\nExample: %s %s--epochs %d --save %s.safetensors\n", t->name, EXAMPLE, EPOCHS, MODEL);
}

static bool take_option(struct trainer *t, const struct option *o, const char *word)
{
    char *end;

    if (o->kind == 'b') {
        *(bool *)o->to = true;
        return true;
    }
    if (!word)
        return part_fail(&t->error, PART_REFUSED, "%.*s lacks its value",
                         (int)strcspn(o->name, " "), o->name);
    if (o->kind == 's') {
        *(const char **)o->to = word;
        return true;
    }
    errno = 0;
    *(int64_t *)o->to = strtoll(word, &end, 10);
    return (*word && !*end && !errno && *(int64_t *)o->to >= 0) ||
           part_fail(&t->error, PART_REFUSED, "%.*s \"%.40s\": expected a whole number, 0 or more",
                     (int)strcspn(o->name, " "), o->name, word);
}

/* False also after --help, without an error. */
static bool read_options(struct trainer *t, const struct option *options, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const struct option *o = options;
        const size_t length = strcspn(argv[i], "=");
        const char *value = argv[i][length] ? argv[i] + length + 1 : NULL;

        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            help(t, options);
            return false;
        }
        while (o->name && (strncmp(o->name, argv[i], length) != 0 ||
                           (o->name[length] && o->name[length] != ' ')))
            o++;
        for (size_t k = 0; k < sizeof compiled_in / sizeof *compiled_in; k++)
            if (strlen(compiled_in[k]) == length && strncmp(compiled_in[k], argv[i], length) == 0)
                return part_fail(&t->error, PART_REFUSED,
                                 "%s is compiled in; build the trainer again to change it",
                                 compiled_in[k]);
        if (!o->name || length == 0)
            return part_fail(&t->error, PART_REFUSED, "no option %.60s; --help lists them",
                             argv[i]);
        if (value && o->kind == 'b')
            return part_fail(&t->error, PART_REFUSED, "%s takes no value", o->name);
        if (!value && o->kind != 'b' && i + 1 < argc)
            value = argv[++i];
        if (!take_option(t, o, value))
            return false;
    }
    return true;
}

/* What the machine and the plan allow. */
static bool check_options(struct trainer *t)
{
    /// !gpu
    int64_t processors = 1;

#ifdef _OPENMP
    processors = omp_get_num_procs();
#else
    if (t->threads > 1)
        return part_fail(&t->error, PART_REFUSED,
                         "--threads %lld: compiled without OpenMP; add -fopenmp",
                         (long long)t->threads);
#endif
    if (processors > THREADS)
        processors = THREADS; /* as many as the arena has room for */
    if (t->threads == 0 || t->threads > processors)
        t->threads = processors;
    /// always
    if (t->batch < 1 || t->batch > BATCH)
        return part_fail(&t->error, PART_REFUSED,
                         "--batch %lld; the step is compiled for 1 to %lld rows",
                         (long long)t->batch, (long long)BATCH);
    if (t->checkpoint_every && !t->checkpoint)
        return part_fail(&t->error, PART_REFUSED,
                         "--checkpoint-every: expected --checkpoint F as well");
    if (t->save && t->checkpoint && strcmp(t->save, t->checkpoint) == 0)
        return part_fail(&t->error, PART_REFUSED, "--save and --checkpoint name one file, %.200s",
                         t->save);
    if (t->save && strlen(t->save) > 4 && strcmp(t->save + strlen(t->save) - 4, ".npz") == 0)
        return part_fail(&t->error, PART_REFUSED,
                         "--save %.200s: a trainer writes safetensors; expected such a name",
                         t->save);
    if (t->seed < 0)
        t->seed = SEED;
    else
        t->order_seed = t->seed;
    /// chance
    if (t->seed != SEED)
        return part_fail(&t->error, PART_REFUSED,
                         "--seed %lld: the step draws random numbers, and its seed %lld is "
                         "compiled in",
                         (long long)t->seed, (long long)SEED);
    /// made
    if (strcmp(t->data, DATA) != 0)
        return part_fail(&t->error, PART_REFUSED,
                         "--data %.200s: this trainer was built for %s, which it makes itself",
                         t->data, DATA);
    /// !made
    if (!t->data)
        return part_fail(&t->error, PART_REFUSED, "--data is needed: %s", DATA_ABOUT);
    /// always
    return t->epochs > 0 || part_fail(&t->error, PART_REFUSED, "--epochs 0; expected 1 or more");
}

int main(int argc, char **argv)
{
    static struct trainer t = {
        .data = DATA, .epochs = EPOCHS, .batch = BATCH, .seed = -1, .order_seed = ORDER_SEED
    };
    const struct option options[] = {
        { "--data " DATA_META, 's', &t.data, DATA_ABOUT },
        { "--epochs N", 'i', &t.epochs, "passes over the data" },
        { "--batch N", 'i', &t.batch, "rows a step, at most as many as it was built for" },
        { "--seed N", 'i', &t.seed, "of the initial weights and of the order" },
        /// !gpu
        { "--threads N", 'i', &t.threads, "0: as many as the machine has" },
        /// gpu
        { "--gpu N", 'i', &t.gpu, "which one; 0 is the first" },
        /// always
        { "--load F", 's', &t.load, "begin with these weights (safetensors)" },
        { "--save F", 's', &t.save, "write the weights at the end (safetensors)" },
        { "--checkpoint F", 's', &t.checkpoint, "write there what a run goes on from, each epoch" },
        { "--checkpoint-every N", 'i', &t.checkpoint_every, "and every N steps" },
        { "--resume F", 's', &t.resume, "go on from a checkpoint" },
        { "--log-every N", 'i', &t.report.log_every, "tell the loss every N steps" },
        { "--json", 'b', &t.report.json, "a JSON object a line" },
        /// probe
        { "--log DIR", 's', &t.log, "write losses and probes there, as TensorBoard reads them" },
        /// always
        { NULL, 0, NULL, NULL },
    };

    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write(), not the end */
    t.name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
    if (read_options(&t, options, argc, argv) && check_options(&t) && prepare(&t)) {
        t.report.bar = !t.report.json && isatty(STDOUT_FILENO);
        tell_start(&t);
        if (!work(&t))
            t.error.status = PART_FAILED; /* what is wrong with a request is said before */
    }
    if (!t.error.status && (fflush(stdout) != 0 || ferror(stdout)))
        part_fail(&t.error, PART_FAILED, "the output could not be written");
    if (t.error.status) {
        fflush(stdout);
        fprintf(stderr, "%s%s: %s\n", t.report.bar ? "\n" : "", t.name, t.error.text);
    }
    /// probe
    events_close(&t.events);
    /// always
    /// gpu
    gpu_close();
    /// always
    free(t.tokens);
    columns_free(&t.rows);
    columns_free(&t.test);
    free(t.base[1]);
    return t.error.status > PART_REFUSED ? PART_REFUSED : t.error.status;
}
