/*
 * Text that the program writes: verses, syllables, opinions.
 *
 * A template is a sentence in which %A stands for one of the words of list A, drawn by a counter;
 * so a text is the same everywhere, and begins with the same lines at every length. There is
 * something to learn in each: verses have rhythm, speakers and verbs that agree with their
 * subjects; syllables are vowels between consonants; in opinions a word of praise counts the other
 * way behind "hardly" or "not", so that counting words is not enough.
 */
#ifndef PART_SENTENCES_H
#define PART_SENTENCES_H

enum { SENTENCES_LINE = 160 };

static const char sentences_names[] __attribute__((unused)) = "verses syllables opinions";

struct sentences_list { /* what % and a letter become; words are apart by blanks */
    char letter;
    const char *words;
};

static const struct sentences_list sentences_lists[] = {
    { 'N', "river lantern harbour winter garden shadow morning mountain orchard sailor candle "
           "window kingdom sparrow meadow evening" },
    { 'A', "quiet silver patient broken golden distant hollow restless gentle weary crooked "
           "nameless" },
    { 'V', "carries follows remembers forgets answers borrows mends guards loses greets" },
    { 'P', "carry follow remember forget answer borrow mend guard lose greet" },
    { 'W', "home tonight again alone forever slowly unseen" },
    { 'Q', "Where How When Why" },
    { 'S', "ANNA BRUNO CLARA DOROTHEA EMIL FELIX" },
    { 'F', "film story plot acting script cast ending music dialogue camera" },
    { 'D', "very quite rather truly simply often" },
    { 'G', "moving funny clever warm graceful fresh sharp charming gripping tender" },
    { 'B', "dull clumsy empty tired cold noisy shallow lazy pointless bitter" },
    { 'H', "hardly not never seldom barely" },
    { 'I', "audience critic viewer child neighbour" },
    { 'O', "b br c ch d f g gr h j k l m n p r s st t th v w" },
    { 'U', "a e i o u ai ea ia o a e" },
    { 'C', "n r l s m th nd x ck" },
};

static const char *const sentences_verses[] = {
    "The %A %N %V the %N %W.",
    "The %A %Ns %P the %A %N.",
    "%Q %V the %A %N the %N?",
    "I %P the %N, and the %N %V me %W.",
    "O %A %N, the %Ns %P you %W!",
    "We %P what the %N %V.",
    "The %N %V, the %Ns %P, and we %P %W.",
};

static const char *const sentences_opinions[2][6] = {
    { "the %F is %D %B", "%H %G , this %F", "a %B %F and a %B %F", "the %I found the %F %H %G",
      "a %F that is %B , though the %F is %H %B",
      "the %F is %G but the %F , the %F and the %F are %B" },
    { "the %F is %D %G", "%H %B , this %F", "a %G %F and a %G %F", "the %I found the %F %H %B",
      "a %F that is %G , though the %F is %H %G",
      "the %F is %B but the %F , the %F and the %F are %G" },
};

static const char *const sentences_syllables[] = { "%O%U",       "%O%U%C",   "%O%U%O%U",
                                                   "%O%U%O%U%C", "%U%C%O%U", "%O%U%O%U%O%U" };

/* Numbers drawn one after the other, all from the first. */
PART uint64_t sentences_draw(uint64_t *state, uint64_t below)
{
    *state = shuffle_mix(*state + 0x9e3779b97f4a7c15u);
    return (*state >> 33) % below;
}

/* One of the words of a list; its length is returned. */
PART int sentences_word(const char *words, uint64_t *state, const char **word)
{
    uint64_t count = 1;
    int length = 0;

    for (const char *c = words; *c; c++)
        count += *c == ' ';
    for (count = sentences_draw(state, count); count; words++)
        count -= *words == ' ';
    *word = words;
    while (words[length] && words[length] != ' ')
        length++;
    return length;
}

/* A template with its words, without an end; its length is returned. */
PART int sentences_write(const char *form, uint64_t *state, char *to)
{
    int size = 0;

    for (const char *c = form; *c; c++) {
        const char *word = c;
        int length = 1;

        c += *c == '%';
        for (size_t i = 0; word < c && i < sizeof sentences_lists / sizeof *sentences_lists; i++)
            if (*c == sentences_lists[i].letter)
                length = sentences_word(sentences_lists[i].words, state, &word);
        memcpy(to + size, word, (size_t)length);
        size += length;
    }
    return size;
}

/* A line of a set: a verse with its speaker before each third, a name, an opinion with its class.
 */
PART int sentences_line(int set, uint64_t row, uint64_t *state, char *to)
{
    int size = 0;

    if (set == 0) {
        const size_t kinds = sizeof sentences_verses / sizeof *sentences_verses;

        if (row % 3 == 0)
            size = sentences_write(row ? "\n%S:\n" : "%S:\n", state, to);
        size += sentences_write(sentences_verses[sentences_draw(state, kinds)], state, to + size);
    } else if (set == 1) {
        const size_t kinds = sizeof sentences_syllables / sizeof *sentences_syllables;

        size = sentences_write(sentences_syllables[sentences_draw(state, kinds)], state, to);
    } else {
        const uint64_t label = sentences_draw(state, 2);

        size = sentences_write(sentences_opinions[label][sentences_draw(state, 6)], state, to);
        to[size++] = '\t';
        to[size++] = (char)('0' + label);
    }
    to[size++] = '\n';
    return size;
}

/*
 * The texts by their paths: "verses", 4,000 lines; "syllables", 3,000 names; "opinions", a folder
 * with 3,000 lines in train.tsv and 500 in dev.tsv and test.tsv.
 */
static const struct {
    const char *path;
    int set;
    uint64_t seed, lines;
} sentences_texts[] = {
    { "verses", 0, 1, 4000 },
    { "syllables", 1, 2, 3000 },
    { "opinions/train.tsv", 2, 3, 3000 },
    { "opinions/dev.tsv", 2, 4, 500 },
    { "opinions/test.tsv", 2, 5, 500 },
};

/* Which of them a path names; -1 for none, and where there is a file of that name. */
PART int sentences_find(const char *path)
{
    const int texts = (int)(sizeof sentences_texts / sizeof *sentences_texts);

    for (int i = 0; i < texts; i++)
        if (strcmp(path, sentences_texts[i].path) == 0)
            return access(path, F_OK) == 0 ? -1 : i;
    return -1;
}

PART char *sentences_text(int which, uint64_t *size, struct part_error *error)
{
    const uint64_t lines = sentences_texts[which].lines;
    uint64_t state = shuffle_mix(sentences_texts[which].seed);
    char *text = malloc(lines * SENTENCES_LINE);

    *size = 0;
    if (!text)
        part_no_memory(error, sentences_texts[which].path);
    for (uint64_t row = 0; text && row < lines; row++)
        *size += (uint64_t)sentences_line(sentences_texts[which].set, row, &state, text + *size);
    return text;
}

#endif
