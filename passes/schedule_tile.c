/*
 * schedule_tile: register tiles of a sum of products, R rows by C vectors.
 *
 * Rows come in tiles of nearly equal height, so that none is much smaller than the others; an
 * image's first and last columns are code of their own, where the taps outside are left out. The
 * loop that threads divide is the one that they share most evenly.
 */
#include "contract.h"

/* sums that fit the registers: of R x C vectors of 16 elements */
static int64_t most_sums(const struct contraction *c)
{
    const struct ir_target *t = c->options->target;
    int64_t bytes = ir_dtypes[c->k->value[c->set->args[0]].dtype].bytes;
    int64_t sums = (int64_t)t->registers * 3 / 4 * t->lanes / LOOP_LANES * 4 / bytes;

    return sums < 1 ? 1 : sums;
}

int64_t pass_sliver(int64_t extent)
{
    int64_t best = 16, least = INT64_MAX;

    for (int64_t w = 64; w >= 16; w -= 16) {
        int64_t cost = (extent + w - 1) / w * w * (w >= 48 ? 100 : w == 32 ? 103 : 112);
        if (cost < least) {
            least = cost;
            best = w;
        }
    }
    return best;
}

static struct loop_statement *loop_of(struct loop_kernel *k, int axis)
{
    struct nest n = pass_nest(k);

    for (int i = 0; i < n.count; i++)
        if (n.loop[i]->axis == axis)
            return n.loop[i];
    ir_bug("kernel %s lost a loop", k->name);
}

/* the block a loop of the nest stands in, and where */
static struct loop_block *block_of(struct loop_kernel *k, int axis, int *at)
{
    struct nest n = pass_nest(k);
    struct loop_block *b = &k->body;

    for (int i = 0; i < n.count; i++) {
        for (*at = 0; b->at[*at] != n.loop[i];)
            ++*at;
        if (n.loop[i]->axis == axis)
            return b;
        b = &n.loop[i]->body;
    }
    ir_bug("kernel %s lost a loop", k->name);
}

/* Rows in tiles of nearly equal height: M = n1 * h + n2 * (h - 1), two loops, one behind the other.
 * Gives how many loops. */
static int tile_rows(struct loop_kernel *k, struct loop_block *b, int at, int64_t most)
{
    int64_t extent = k->axis[b->at[at]->axis].hi, tiles = (extent + most - 1) / most;

    for (int64_t h = most; h * 20 >= most * 11;
         h--) /* one loop, if that costs little: half the code */
        if (extent % h == 0) {
            tiles = extent / h;
            break;
        }
    int64_t height = (extent + tiles - 1) / tiles, high = extent - tiles * (height - 1);

    if (height < 2)
        return 1;
    if (high < tiles) {
        pass_peel(k, b, at, high * height);
        /* by one, too: it begins at 0 then, as what threads divide must */
        k->axis[pass_split(k, b->at[at + 1], height - 1)].role = LOOP_UNROLL;
    }
    k->axis[pass_split(k, b->at[at], height)].role = LOOP_UNROLL;
    return high < tiles ? 2 : 1;
}

static bool guards_on(const struct loop_kernel *k, const struct loop_block *b, int axis)
{
    for (int i = 0; i < b->count; i++) {
        const struct loop_statement *s = b->at[i];
        for (int g = 0; s->kind == LOOP_SET && g < s->guards; g++)
            if ((loop_axes_of(k, s->guard[g].ix) | loop_axes_of(k, s->guard[g].limit)) >> axis & 1)
                return true;
        if (guards_on(k, &s->body, axis))
            return true;
    }
    return false;
}

/* an image's first and last columns have taps outside: they become code of their own, where those
 * taps are left out */
static void peel_border(struct loop_kernel *k, struct loop_block *b, int axis)
{
    for (int i = 0; i < b->count; i++) {
        int64_t turns = k->axis[b->at[i]->axis].hi;
        if (b->at[i]->kind != LOOP_FOR)
            continue;
        if (b->at[i]->axis != axis) {
            peel_border(k, &b->at[i]->body, axis);
            continue;
        }
        if (!guards_on(k, &b->at[i]->body, axis) || turns < 2)
            continue;
        pass_peel(k, b, i, 1);
        if (turns > 2)
            pass_peel(k, b, ++i, turns - 1);
        i++;
    }
}

/* how evenly the threads share so many turns */
static double balance(int64_t turns, int threads)
{
    int64_t rounds = (turns + threads - 1) / threads;

    return turns < 2 ? 0 : (double)turns / (double)(rounds * threads);
}

/* .. and the rows of one or two loops of tiles, one behind the other */
static double balance_rows(const struct loop_kernel *k, const struct loop_block *b, int at,
                           int loops, int threads)
{
    double rows = 0, longest = 0;

    for (int i = 0; i < loops; i++) {
        const struct loop_statement *tiles = b->at[at + i], *in = tiles->body.at[0];
        const int64_t turns = k->axis[tiles->axis].hi;
        const bool high = in->kind == LOOP_FOR && k->axis[in->axis].role == LOOP_UNROLL;
        const double height = high ? (double)k->axis[in->axis].hi : 1;
        rows += (double)turns * height;
        longest += (double)((turns + threads - 1) / threads) * height;
    }
    return rows < 2 || k->axis[b->at[at]->axis].hi < 2 ? 0 : rows / (longest * threads);
}

static void share_tiles(struct contraction *c, struct loop_block *rows, int at, int row_loops)
{
    struct loop_kernel *k = c->k;
    struct nest n = pass_nest(k);
    struct loop_statement *best = NULL;
    int threads = c->options->threads > 1 ? c->options->threads : 2;
    double most = 0, of_rows = 0;

    for (int i = 0; i < n.count; i++) {
        double share = balance(k->axis[n.loop[i]->axis].hi, threads);
        if (k->axis[n.loop[i]->axis].role == LOOP_SERIAL && share > most + 0.05) {
            best = n.loop[i];
            most = share;
        }
    }
    if (rows)
        of_rows = balance_rows(k, rows, at, row_loops, threads);
    if (rows && of_rows > most + 0.05)
        best = rows->at[at];
    if (best)
        best = pass_divided(k, best);
    pass_share(k, best);
    if (rows && k->shared && best == rows->at[at])
        for (int i = 1; i < row_loops; i++)
            k->axis[rows->at[at + i]->axis].role = LOOP_PARALLEL;
}

#define AHEAD 32 /* steps of the reduction */

/* Rows of the narrow operand that lie far apart: no machine guesses the next one, so it is asked
 * for in advance, once for a tile. */
static void look_ahead(struct contraction *c, struct loop_block *b, int axis, int around)
{
    struct loop_kernel *k = c->k;

    for (int i = 0; i < b->count; i++) {
        struct loop_statement *s = b->at[i];
        const int64_t bytes = ir_dtypes[s->dtype].bytes;
        bool linear, goes_on;
        if (s->kind == LOOP_FOR)
            look_ahead(c, &s->body, s->axis, axis);
        if (s->kind != LOOP_LOAD || s->value != c->narrow || s->guards || axis < 0 ||
            !k->axis[axis].ordered)
            continue;
        int64_t pitch = loop_coefficient(k, s->ix, axis, &linear), steps = k->axis[axis].hi;
        if (around >= 0 && k->axis[around].ordered && /* the next turn of the loop around it */
            loop_coefficient(k, s->ix, around, &goes_on) == pitch * steps && goes_on)
            steps *= k->axis[around].hi;
        if (!linear || pitch * bytes < 1024 || steps < 4 * AHEAD)
            continue;
        struct loop_statement ask = { .kind = LOOP_PREFETCH, .buffer = s->buffer };
        ask.ix = loop_plus(k, s->ix, loop_const(k, AHEAD * pitch));
        for (int a = 0; a < k->axes; a++)
            if (k->axis[a].role == LOOP_UNROLL)
                ask.ix = loop_replace(k, ask.ix, a, loop_const(k, 0));
        loop_add(k, b, ask);
        return;
    }
}

#define AWAY (256 << 10) /* bytes of an array that lies in no core's own cache */

/*
 * What the epilogue reads of large arrays, a parameter and its moments, is asked for before the sum
 * begins: measured, an update waits as long for its tiles as their products take.
 */
static void fetch_tiles(struct contraction *c, struct loop_block *b)
{
    struct loop_kernel *k = c->k;
    struct loop_block asked = { 0 };
    bool summed = false;

    for (int i = 0; i < b->count; i++) {
        struct loop_statement *s = b->at[i];
        if (s->kind == LOOP_FOR && k->axis[s->axis].ordered)
            summed = true;
        else if (s->kind == LOOP_FOR)
            fetch_tiles(c, &s->body);
        if (!summed || s->kind != LOOP_LOAD || s->guards || s->value == c->narrow ||
            k->buffer[s->buffer].scratch ||
            k->buffer[s->buffer].elements * ir_dtypes[s->dtype].bytes < AWAY)
            continue;
        struct loop_statement ask = { .kind = LOOP_PREFETCH,
                                      .buffer = s->buffer,
                                      .number = k->buffer[s->buffer].written };
        ask.ix = s->ix;
        for (int a = 0; a < k->axes; a++)
            if (k->axis[a].role == LOOP_VECTOR)
                ask.ix = loop_replace(k, ask.ix, a, loop_const(k, 0));
        loop_add(k, &asked, ask);
    }
    if (!asked.count)
        return;
    for (int i = 0; i < b->count; i++)
        loop_add(k, &asked, *b->at[i]);
    *b = asked;
}

void pass_tile(struct contraction *c)
{
    struct loop_kernel *k = c->k;
    struct nest n = pass_nest(k);
    int row = -1, column = -1, both[2 * IR_RANK], boths = 0, at = 0, row_loops = 0;
    int64_t sums = most_sums(c), columns = 1, rows;
    struct packing packed = { 0 };

    for (int i = 0; i < n.count; i++) {
        int axis = n.loop[i]->axis;
        bool narrow = pass_sees(c, c->narrow, axis), wide = pass_sees(c, c->wide, axis);
        if (axis == c->lanes || k->axis[axis].hi < 2)
            continue;
        if (wide && (narrow || c->pack)) /* what is packed is packed inside these */
            both[boths++] = axis;
        else if (narrow && (row < 0 || k->axis[axis].hi >= k->axis[row].hi))
            row = axis;
        else if (wide)
            column = axis; /* the innermost */
    }
    int64_t width = column >= 0 ? LOOP_LANES : pass_sliver(k->axis[c->lanes].hi);
    while (width > LOOP_LANES && width / LOOP_LANES > sums)
        width -= LOOP_LANES;
    if (column >= 0) { /* about as square as it goes: 4 x 4, 3 x 7 */
        int64_t extent = k->axis[column].hi;
        columns = extent < 4 ? extent : 4;
        for (int64_t t = 4; t <= 7 && t <= sums; t++)
            if (extent % t == 0)
                columns = t;
        while (columns > sums)
            columns--;
        rows = row < 0 ? 1 : sums / columns < 4 ? sums / columns : 4;
    } else {
        const int64_t most = (k->axis[c->lanes].hi + LOOP_LANES - 1) / LOOP_LANES,
                      vectors = pass_rule(k, LOOP_VECTORS, width / LOOP_LANES);
        width = LOOP_LANES * (vectors < most ? vectors : most);
        rows = sums / (width / LOOP_LANES);
        rows = rows > 14 ? 14 : rows < 1 ? 1 : rows;
    }
    if (row >= 0)
        rows = pass_rule(k, LOOP_ROWS, rows);
    /* order: what both see, slivers, what else the wide one sees, rows, columns, and inside the
     * tile */
    if (row >= 0)
        pass_inward(k, loop_of(k, row));
    if (column >= 0)
        pass_inward(k, loop_of(k, column));
    pass_outward(k, loop_of(k, c->lanes));
    while (boths > 0)
        pass_outward(k, loop_of(k, both[--boths]));
    if (c->pack)
        packed = pass_read_packed(c, width);
    struct loop_statement *sliver = loop_of(k, c->lanes);
    int lane = pass_split(k, sliver, width), copy = -1, column_in = -1;
    pass_inward(k, loop_of(k, lane));
    if (width > LOOP_LANES) {
        copy = lane;
        struct loop_statement *l = loop_of(k, copy);
        lane = pass_split(k, l, LOOP_LANES);
        copy = l->axis;
    }
    if (column >= 0 && columns > 1) {
        struct loop_statement *l = loop_of(k, column);
        column_in = pass_split(k, l, columns);
        column = l->axis;
    }
    struct loop_block *row_block = row >= 0 ? block_of(k, row, &at) : NULL;
    if (copy >= 0)
        k->axis[copy].role = LOOP_UNROLL;
    if (column_in >= 0)
        k->axis[column_in].role = LOOP_UNROLL;
    k->axis[lane].role = LOOP_VECTOR;
    if (row_block)
        row_loops = tile_rows(k, row_block, at, rows);
    if (column >= 0)
        peel_border(k, &k->body, column);
    pass_unroll_short(k, &k->body, pass_rule(k, LOOP_BODIES, 7));
    share_tiles(c, row_block, at, row_loops);
    if (pass_rule(k, LOOP_AHEAD, 2) == 2) {
        look_ahead(c, &k->body, -1, -1);
        fetch_tiles(c, &k->body);
    }
    if (c->pack)
        pass_write_packed(c, &packed, sliver);
    loop_depends(k);
}

/* ---- sums over images, an image a lane ---- */

void pass_tile_images(struct contraction *c, struct loop_statement *images)
{
    struct loop_kernel *k = c->k;
    struct nest n = pass_nest(k);
    int first = -1, second = -1, at;
    int64_t sums = most_sums(c);

    /* rows: what only the second operand sees; columns: the innermost of the first's */
    for (int i = 0; i < n.count; i++) {
        int axis = n.loop[i]->axis;
        if (k->axis[axis].hi < 2)
            continue;
        if (pass_sees(c, c->set->args[1], axis) && !pass_sees(c, c->set->args[2], axis))
            second = axis;
        else if (pass_sees(c, c->set->args[2], axis) && !pass_sees(c, c->set->args[1], axis))
            first = axis;
    }
    int lane = pass_split(k, images, LOOP_LANES);
    k->axis[lane].role = LOOP_VECTOR;
    int64_t columns = second >= 0 && k->axis[second].hi <= 7 ? k->axis[second].hi : 1;
    if (columns > sums)
        columns = 1;
    int64_t rows = sums / columns > 4 ? 4 : sums / columns;
    if (second >= 0 && columns > 1) {
        pass_inward(k, loop_of(k, second));
        k->axis[second].role = LOOP_UNROLL;
    }
    struct loop_block *b = first >= 0 ? block_of(k, first, &at) : NULL;
    int loops = b ? tile_rows(k, b, at, pass_rule(k, LOOP_ROWS, rows)) : 0;
    share_tiles(c, b, b ? at : 0, loops);
    loop_depends(k);
}
