/*
 * Parts: text that the library and a generated trainer share, to the letter.
 *
 * The library includes a part in the file that wraps it (frontend/file_idx.c: idx.h), so that what
 * is tested there is what a trainer runs. codegen/trainer.c prints the parts that a trainer needs,
 * each in whole and once, from gen_text_part_NAME (cmake/embed.cmake). Hence the rules:
 *
 * - A part includes nothing of ours. It stands on the parts above it in this list, which whoever
 *   includes or prints it puts before it. Only error.h includes the system's headers.
 * - Every function is PART: static, and no warning where it is not used. Nothing is global but
 *   constants. Names begin with the part's name, as in idx_open(), and never with an operation's.
 * - No exit, no abort, nothing printed: false and one line in the error.
 * - A program ignores SIGXFSZ, so that a file that may not grow is an error of write().
 * - What a file says is compared with its length before memory is asked for.
 * - gzip is read where USE_ZLIB is defined (then link -lz), else refused in one line.
 * - No warning from gcc 12, clang 14 and clang 19 with -std=gnu17 -Wall -Wextra.
 *
 * | part        | stands on                      | gives                                     |
 * | ----------- | ------------------------------ | ----------------------------------------- |
 * | error       |                                | struct part_error, types of elements      |
 * | file        | error                          | a plain or gzip file, read in order       |
 * | shuffle     | error                          | the keyed permutation of an epoch         |
 * | columns     | error shuffle                  | rows in memory: what readers of data make |
 * | batches     | error shuffle columns          | the rows of each step                     |
 * | idx         | error file shuffle columns     | MNIST and its kin                         |
 * | cifar       | error file shuffle columns     | CIFAR-10, binary                          |
 * | npy         | error file shuffle columns     | NumPy's arrays                            |
 * | npz         | error file shuffle columns npy | several of them in a zip                  |
 * | csv         | error file shuffle columns     | tables with commas, tabs or semicolons    |
 * | sentences   | error shuffle                  | texts that the program writes             |
 * | text        | error file shuffle columns sentences | characters, names and words as tokens |
 * | digits      | error shuffle columns          | digits that the program draws             |
 * | planar      | error shuffle columns          | points of the plane                       |
 * | aside       | error                          | a file that appears whole or not at all   |
 * | safetensors | error aside                    | weights, in and out                       |
 * | checkpoint  | error aside                    | all that a run goes on from               |
 * | report      | error                          | how a run is told: lines, a bar, JSON     |
 * | events      | error report                   | numbers over a run, for TensorBoard       |
 */
