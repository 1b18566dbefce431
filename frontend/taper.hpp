/*
 * taper.hpp: taper.h for C++20. Header only; every function forwards to taper.h, which says what it
 * means, its shapes, units, sources and defaults, under the same name.
 *
 *     taper::graph g(42);
 *     auto B = g.symbol("batch", 1, 64);
 *     auto x = g.input("x", taper::F32, { B, 784 }), y = g.input("y", taper::I32, { B });
 *     auto h = relu(linear(x, "fc1", 128));
 *     auto loss = cross_entropy(linear(h, "fc2", 10), y);
 *
 *     auto step = compile_train(loss, { .opt = taper::adam(), .lr = 1e-3 });
 *     while (train.next(step)) {
 *         step.run();
 *         total += step.get(loss);
 *     }
 *
 * Names are taper.h's without the prefix: tp_relu(x) of a tensor is relu(x), which is found through
 * its argument, without `taper::`; tp_symbol(g, ..), tp_run(p), tp_loader_rows(l) of an object are
 * g.symbol(..), p.run(), l.rows(). A keyword has a _ behind it: and_ or_ xor_ not_ const_ while_.
 * Options stand in braces at the end, by name, in the order of taper.h: conv2d(x, "conv1", 6, 5, {
 * .pad = 2, .groups = 2 }). Lists are braces: reshape(x, { -1, 3, 8 }), sum(x, { 0, -1 }),
 * concat(0, { a, b }). Operators + - * / % & | ^ << >> ~ and unary - are elementwise; comparisons
 * have names (eq, lt, ..), and a == b says, as usual, whether both are the same value of a graph.
 *
 * What goes wrong is an exception of type taper::error: what() begins with the file and line of the
 * C++ program, as messages and the textual IR do. The graph goes on as before it. Tensors and
 * programs keep their graph alive; get() gives what taper.h's functions take.
 */
#ifndef TAPER_HPP
#define TAPER_HPP

#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <source_location>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <taper.h>

namespace taper
{

using place = std::source_location; /* where in the user's program; a default argument everywhere */

/* ---- errors ---------------------------------------------------------------------------------- */

class error : public std::runtime_error
{
  public:
    error(const std::string &text, int status, place at)
        : std::runtime_error(text), number(status), where_(at)
    {
    }
    int status() const noexcept /* 1: failed; 2: refused, the user's mistake; 3: not supported */
    {
        return number;
    }
    const place &where() const noexcept /* the call that threw; what() has where it began */
    {
        return where_;
    }

  private:
    int number;
    place where_;
};

namespace detail
{
inline tp_loc loc(const place &at)
{
    return { at.file_name(), static_cast<int>(at.line()) };
}
[[noreturn]] inline void refuse(const std::string &text, const place &at)
{
    const std::string path = at.file_name(); /* without its folder, as taper.h's messages */
    throw error(path.substr(path.rfind('/') + 1) + ":" + std::to_string(at.line()) + ": " + text, 2,
                at);
}

struct home { /* of all that belongs to one graph; whatever does, holds it */
    tp_graph *g;
    int inside = 0; /* functions of the user that C is calling now: it must see their errors */
    std::function<void(const char *)> warned;

    explicit home(tp_graph *graph) : g(graph)
    {
    }
    home(const home &) = delete;
    home &operator=(const home &) = delete;
    ~home()
    {
        tp_graph_free(g);
    }
};
using home_of = std::shared_ptr<home>;

[[noreturn]] inline void fail(const home_of &h, const place &at, const char *otherwise)
{
    const char *text = tp_error(h->g);
    const std::string what = text ? text : otherwise;
    const int status = text ? tp_status(h->g) : 1;

    if (text && h->inside == 0)
        tp_clear_error(h->g);
    text ? throw error(what, status, at) : refuse(what, at);
}
inline void check(const home_of &h, bool ok, const place &at)
{
    if (!ok || tp_error(h->g))
        fail(h, at, "this cannot be done");
}
} /* namespace detail */

/* ---- types, shapes, lists -------------------------------------------------------------------- */

using dtype = tp_dtype;
inline constexpr dtype DEFAULT = TP_DEFAULT, BOOL = TP_BOOL, U8 = TP_U8, I8 = TP_I8, U16 = TP_U16,
                       I16 = TP_I16, U32 = TP_U32, I32 = TP_I32, U64 = TP_U64, I64 = TP_I64,
                       F16 = TP_F16, BF16 = TP_BF16, F32 = TP_F32, F64 = TP_F64;
inline constexpr std::int64_t ALL = TP_ALL; /* all axes; the end of one */
inline constexpr double ZERO = TP_ZERO;     /* a zero that is meant, where 0 is the default */

/* The type of a graph for one of C++; f16 and bf16 are read and written as their 16 bits. */
template <class T> constexpr bool holds(dtype type)
{
    using U = std::remove_cv_t<T>;
    switch (type) {
    case TP_BOOL:
        return std::same_as<U, bool> || std::same_as<U, std::uint8_t>;
    case TP_F16:
    case TP_BF16:
        return std::same_as<U, std::uint16_t>;
    case TP_F32:
        return std::same_as<U, float>;
    case TP_F64:
        return std::same_as<U, double>;
    case TP_U8:
    case TP_U16:
    case TP_U32:
    case TP_U64:
        return std::unsigned_integral<U> && !std::same_as<U, bool> &&
               sizeof(U) == 1u << (type - TP_U8) / 2;
    case TP_I8:
    case TP_I16:
    case TP_I32:
    case TP_I64:
        return std::signed_integral<U> && sizeof(U) == 1u << (type - TP_I8) / 2;
    default:
        return false;
    }
}
template <class T>
    requires std::is_arithmetic_v<T>
constexpr dtype dtype_for()
{
    for (int type = TP_BOOL; type <= TP_F64; type++)
        if (holds<T>(static_cast<dtype>(type)) && !(type == TP_BOOL && !std::same_as<T, bool>) &&
            type != TP_F16 && type != TP_BF16)
            return static_cast<dtype>(type);
    return TP_DEFAULT;
}

class shape /* { B, 1, 28, 28 }; {}: of a scalar */
{
  public:
    shape() = default;
    shape(std::initializer_list<std::int64_t> dims, place at = place::current())
        : shape(dims.begin(), dims.size(), at)
    {
    }
    shape(const std::vector<std::int64_t> &dims, place at = place::current())
        : shape(dims.data(), dims.size(), at)
    {
    }
    shape(const tp_shape &from) : raw(from)
    {
    }
    int rank() const
    {
        return raw.rank;
    }
    std::int64_t operator[](int axis) const /* as tp_dim(): -1 is the last */
    {
        const int at = axis < 0 ? axis + raw.rank : axis;
        return at < 0 || at >= raw.rank ? -1 : raw.dim[at];
    }
    const std::int64_t *begin() const
    {
        return raw.dim;
    }
    const std::int64_t *end() const
    {
        return raw.dim + raw.rank;
    }
    bool operator==(const shape &other) const
    {
        bool same = raw.rank == other.raw.rank;
        for (int i = 0; same && i < raw.rank; i++)
            same = raw.dim[i] == other.raw.dim[i];
        return same;
    }
    const tp_shape &get() const
    {
        return raw;
    }

  private:
    shape(const std::int64_t *dims, std::size_t rank, place at)
    {
        if (rank > 8)
            detail::refuse("a shape of " + std::to_string(rank) + " axes; expected at most 8", at);
        raw.rank = static_cast<int>(rank);
        for (std::size_t i = 0; i < rank; i++)
            raw.dim[i] = dims[i];
    }
    tp_shape raw = {};
};

class axes /* 1, { 0, -1 } or ALL */
{
  public:
    template <std::integral T> axes(T axis) : packed(static_cast<std::int64_t>(axis))
    {
    }
    axes(std::initializer_list<std::int64_t> list, place at = place::current())
        : packed(tp_axes_of(shape(list, at).get()))
    {
    }
    std::int64_t get() const
    {
        return packed;
    }

  private:
    std::int64_t packed;
};

class sizes /* 5 for every axis, or { 3, 5 }: each its own */
{
  public:
    sizes() = default;
    template <std::integral T> sizes(T every) : every(static_cast<std::int64_t>(every))
    {
    }
    sizes(std::initializer_list<std::int64_t> list, place at = place::current()) : each(list, at)
    {
    }
    std::int64_t one() const
    {
        return every;
    }
    const tp_shape &list() const
    {
        return each.get();
    }

  private:
    std::int64_t every = 0;
    shape each;
};

class text /* a parameter: "fc1", or a std::string that lives as long as the call */
{
  public:
    text(const char *at = nullptr) : at(at)
    {
    }
    text(const std::string &string) : at(string.c_str())
    {
    }
    const char *get() const
    {
        return at;
    }

  private:
    const char *at;
};

/* ---- tensors --------------------------------------------------------------------------------- */

class graph;

class subscript /* x[1] is tp_index(x, 1), x["1:-1, ..., None"] tp_pick() */
{
  public:
    template <std::integral T>
    subscript(T i, place at = place::current()) : i(static_cast<std::int64_t>(i)), at(at)
    {
    }
    template <class T>
        requires std::convertible_to<T, text> && (!std::integral<T>)
    subscript(const T &brackets, place at = place::current()) : words(text(brackets)), at(at)
    {
    }

  private:
    friend class tensor;
    std::int64_t i = 0;
    text words;
    place at;
};

class tensor /* a value of a graph; without one it is empty, and only options may be */
{
  public:
    tensor() = default;
    tensor(detail::home_of graph, std::uint32_t id) : owner(std::move(graph)), id(id)
    {
    }
    std::int64_t dim(int axis) const /* may be a symbol's; -1 where there is none */
    {
        return tp_dim(get(), axis);
    }
    std::int64_t dim_bound(int axis) const
    {
        return tp_dim_bound(get(), axis);
    }
    int rank() const
    {
        return tp_rank(get());
    }
    taper::dtype dtype() const
    {
        return tp_dtype_of(get());
    }
    taper::shape shape() const
    {
        return tp_shape_of(get());
    }
    std::string name() const /* of a parameter, state or input; else empty */
    {
        const char *name = owner ? tp_name(get()) : nullptr;
        return name ? name : "";
    }
    tensor operator[](const subscript &s) const;
    bool operator==(const tensor &other) const = default; /* the same value, not equal elements */
    explicit operator bool() const
    {
        return owner != nullptr;
    }
    taper::graph graph() const;
    /* Of an eager graph: the one element; all of them, row-major, until the next update. */
    double item(place at = place::current()) const;
    template <class T> std::span<const T> values(place at = place::current()) const;
    void print(place at = place::current()) const;

    tp_tensor get() const /* for taper.h */
    {
        tp_tensor raw = tp_as_number(0);
        raw.g = owner ? owner->g : nullptr;
        raw.id = owner ? id : 0;
        return raw;
    }
    const detail::home_of &home() const
    {
        return owner;
    }

  private:
    detail::home_of owner;
    std::uint32_t id = 0;
};

class operand /* a tensor or a bare number, with the place where it stands */
{
  public:
    operand(const tensor &x, place at = place::current()) : x(x), at(at)
    {
    }
    template <class T>
        requires std::is_arithmetic_v<T>
    operand(T number, place at = place::current())
        : number(static_cast<double>(number)), is_number(true), at(at)
    {
    }

    tensor x;
    double number = 0;
    bool is_number = false;
    place at;
};

class list /* { a, b }, or a std::vector of tensors */
{
  public:
    list() = default;
    list(std::initializer_list<tensor> x) : x(x)
    {
    }
    list(std::vector<tensor> x) : x(std::move(x))
    {
    }
    std::vector<tensor> x;
};

namespace detail
{
inline const home_of &home_at(const tensor &x, const place &at)
{
    if (!x)
        refuse("an empty tensor; expected one that an operation has made", at);
    return x.home();
}
inline tp_tensor raw(const tensor &x, const place &at)
{
    return home_at(x, at), x.get();
}
inline tp_tensor raw(const operand &o, const place &at)
{
    return o.is_number ? tp_as_number(o.number) : raw(o.x, at);
}
inline const home_of &home_at(const list &l, const place &at)
{
    if (l.x.empty())
        refuse("no tensors; expected one or more", at);
    return home_at(l.x.front(), at);
}
template <class... Rest> const home_of &home_at(const operand &a, const operand &b, const place &at)
{
    if (a.is_number && b.is_number)
        refuse("two numbers; expected a tensor", at);
    return home_at(a.is_number ? b.x : a.x, at);
}
inline std::vector<tp_tensor> raws(const std::vector<tensor> &x, const place &at)
{
    std::vector<tp_tensor> all;
    for (const tensor &one : x)
        all.push_back(raw(one, at));
    return all;
}
inline tp_list raw_list(const std::vector<tp_tensor> &all)
{
    return { static_cast<int>(all.size()), all.data() };
}
inline tensor give(const home_of &h, tp_tensor made, const place &at)
{
    check(h, made.g && made.id, at);
    return tensor(h, made.id);
}
inline tensor give(const tensor &like, tp_tensor made, const place &at)
{
    return give(like.home(), made, at);
}
inline std::vector<tensor> give(const home_of &h, const std::vector<tp_tensor> &made,
                                const place &at)
{
    std::vector<tensor> all;
    for (const tp_tensor &one : made)
        all.push_back(give(h, one, at));
    return all;
}
template <class T> void same_type(const tensor &x, const place &at)
{
    if (!holds<T>(x.dtype()))
        refuse("numbers of another type than the tensor's; expected the C++ type of its dtype", at);
}
} /* namespace detail */

/* ---- options: taper.h's, with its defaults --------------------------------------------------- */

using init = tp_init;
using schedule = tp_schedule;
using mode = tp_mode;
using reduction = tp_reduction;
using probe = tp_probe;
inline constexpr mode TRAIN = TP_TRAIN, EVAL = TP_EVAL;
inline constexpr reduction MEAN = TP_MEAN, SUM = TP_SUM, EACH = TP_EACH, BATCHMEAN = TP_BATCHMEAN;
inline constexpr init ZEROS = TP_ZEROS, ONES = TP_ONES, KAIMING_UNIFORM = TP_KAIMING_UNIFORM,
                      KAIMING_NORMAL = TP_KAIMING_NORMAL, LECUN_UNIFORM = TP_LECUN_UNIFORM,
                      LECUN_NORMAL = TP_LECUN_NORMAL, IDENTITY = TP_IDENTITY;
#define TAPER_INIT(name)          \
    constexpr init name(double a) \
    {                             \
        return TP_##name(a);      \
    }
#define TAPER_INIT2(name)                   \
    constexpr init name(double a, double b) \
    {                                       \
        return TP_##name(a, b);             \
    }
TAPER_INIT(CONSTANT)
TAPER_INIT(NORMAL)
TAPER_INIT(XAVIER_UNIFORM)
TAPER_INIT(XAVIER_NORMAL)
TAPER_INIT(TRUNC_NORMAL)
TAPER_INIT(ORTHOGONAL)
TAPER_INIT2(UNIFORM)
TAPER_INIT2(SPARSE)
#undef TAPER_INIT
#undef TAPER_INIT2

struct param_args {
    taper::dtype dtype = DEFAULT; /* F32 */
    bool frozen = false, shared = false;
};
struct sample_args {
    std::int64_t top_k = 0;
    double top_p = 0;
};
struct reduce_args {
    bool keepdim = false, biased = false;
    double correction = 0;
};
struct slice_args {
    std::int64_t stop = ALL, step = 0;
};
struct sort_args {
    bool descending = false;
    tensor *index = nullptr;
};
struct topk_args {
    bool smallest = false;
    tensor *index = nullptr;
};
struct linear_args {
    bool no_bias = false, shared = false, frozen = false;
    taper::init init = {};
};
struct conv_args { /* sizes: one for every axis, or a list */
    sizes stride = {}, pad = {}, dilation = {};
    std::int64_t groups = 0;
    bool no_bias = false, shared = false, frozen = false;
    taper::init init = {};
    bool same = false;
    sizes out_pad = {};
    text pad_mode = {};
};
struct pool_args {
    sizes stride = {}, pad = {}, dilation = {};
    bool ceil = false, exclude_pad = false;
    double p = 0;
};
struct norm_args {
    double eps = 0, momentum = 0;
    bool no_scale = false, shared = false, no_bias = false, affine = false;
    int axes = 0;
};
struct lrn_args {
    double alpha = 0, beta = 0, k = 0;
};
struct grid_args {
    text padding = {};
    bool corners = false;
};
struct recurrent_args {
    int layers = 0;
    bool bidirectional = false, batch_first = false, no_bias = false, relu = false, shared = false,
         frozen = false;
    double dropout = 0;
    tensor h = {}, c = {};
};
struct recurrent {
    tensor y, h, c;
};
struct scan_args {
    bool reverse = false;
    std::int64_t length = 0;
};
struct attention_args {
    bool causal = false;
    tensor mask = {};
    double dropout = 0, scale = 0;
    std::int64_t window = 0;
};
struct mha_args {
    bool causal = false, no_bias = false, shared = false, frozen = false;
    tensor memory = {}, mask = {};
    double dropout = 0;
};
struct rotary_args {
    double base = 0, from = 0;
    bool interleaved = false;
};
struct loss_args {
    taper::reduction reduction = MEAN;
    tensor weight = {}, pos_weight = {};
    double beta = 0, delta = 0, margin = 0, eps = 0, p = 0, alpha = 0, gamma = 0;
    bool full = false, log_target = false, rate = false, swap = false;
};
struct class_args {
    taper::reduction reduction = MEAN;
    tensor weight = {};
    double smoothing = 0, ignore_index = 0;
    int axis = 0;
};
struct ctc_args {
    tensor steps = {}, lengths = {};
    std::int64_t blank = 0;
    taper::reduction reduction = MEAN;
    bool zero_infinity = false;
};
struct group {
    std::string match = {};
    double lr_scale = 0, weight_decay = 0;
    bool no_decay = false, frozen = false;
};
struct opt_args {
    double momentum = 0, weight_decay = 0, beta1 = 0, beta2 = 0, eps = 0, alpha = 0;
    bool nesterov = false, no_decay = false;
    std::vector<group> groups = {};
    double dampening = 0;
    bool centered = false, plain = false;
};
struct loader_args {
    std::int64_t batch = 0;
    bool shuffle = false, drop_last = false;
    std::uint64_t seed = 0;
    text rows = {};
    int ahead = 0;
    std::int64_t count = 0;
    double noise = 0;
    text label = {};
    std::int64_t context = 0, step = 0, vocabulary = 0;
};
struct load_args {
    bool partial = false;
    text prefix = {};
};

/* ---- optimisers and schedules: values -------------------------------------------------------- */

class opt /* adam({ .beta1 = 0.8, .groups = { { .match = "*.bias", .no_decay = true } } }) */
{
  public:
    opt(tp_opt_kind kind, opt_args o) : groups(std::move(o.groups))
    {
        raw = tp_opt_of(kind, { kind, o.momentum, o.weight_decay, o.beta1, o.beta2, o.eps, o.alpha,
                                o.nesterov, o.no_decay, nullptr, o.dampening, o.centered, o.plain,
                                false });
    }
    /* calls f with what taper.h takes; the groups live as long as the call */
    template <class F> auto with(F f) const
    {
        std::vector<tp_group> table;
        tp_opt whole = raw;
        for (const group &one : groups)
            table.push_back(
                { one.match.c_str(), one.lr_scale, one.weight_decay, one.no_decay, one.frozen });
        table.push_back({ nullptr, 0, 0, false, false });
        if (!groups.empty())
            whole.groups = table.data();
        return f(whole);
    }

  private:
    tp_opt raw = {};
    std::vector<group> groups;
};
#define TAPER_OPT(name, kind)           \
    inline opt name(opt_args o = {})    \
    {                                   \
        return opt(kind, std::move(o)); \
    }
TAPER_OPT(sgd, TP_SGD)
TAPER_OPT(adam, TP_ADAM)
TAPER_OPT(adamw, TP_ADAMW)
TAPER_OPT(rmsprop, TP_RMSPROP)
TAPER_OPT(adagrad, TP_ADAGRAD)
TAPER_OPT(adamax, TP_ADAMAX)
TAPER_OPT(nadam, TP_NADAM)
TAPER_OPT(radam, TP_RADAM)
TAPER_OPT(adadelta, TP_ADADELTA)
TAPER_OPT(lion, TP_LION)
TAPER_OPT(lamb, TP_LAMB)
TAPER_OPT(lars, TP_LARS)
TAPER_OPT(adafactor, TP_ADAFACTOR)
TAPER_OPT(muon, TP_MUON)
#undef TAPER_OPT

inline schedule const_(double rate)
{
    return tp_const(rate);
}
inline schedule cosine(double from, double to, double steps)
{
    return tp_cosine(from, to, steps);
}
inline schedule cosine_restarts(double from, double to, double steps, double longer)
{
    return tp_cosine_restarts(from, to, steps, longer);
}
inline schedule linear_decay(double from, double to, double steps)
{
    return tp_linear_decay(from, to, steps);
}
inline schedule polynomial(double from, double to, double steps, double power)
{
    return tp_polynomial(from, to, steps, power);
}
inline schedule step_decay(double from, double factor, double every)
{
    return tp_step_decay(from, factor, every);
}
inline schedule exponential_decay(double from, double factor)
{
    return tp_exponential_decay(from, factor);
}
inline schedule multistep(double from, double factor, std::initializer_list<double> steps,
                          place at = place::current())
{
    tp_milestones all = {};
    if (steps.size() > TP_MILESTONES)
        detail::refuse("multistep: " + std::to_string(steps.size()) + " steps; expected at most " +
                           std::to_string(TP_MILESTONES),
                       at);
    for (double one : steps)
        all.step[all.count++] = one;
    return tp_multistep_of(from, factor, all);
}
inline schedule one_cycle(double most, double steps)
{
    return tp_one_cycle(most, steps);
}
inline schedule inverse_sqrt(double most, double warmup)
{
    return tp_inverse_sqrt(most, warmup);
}
inline schedule wsd(double from, double to, double steps, double decay)
{
    return tp_wsd(from, to, steps, decay);
}
inline schedule given(double rate)
{
    return tp_given(rate);
}
inline schedule warmup(double steps, schedule then)
{
    return tp_warmup(steps, then);
}

using plateau = tp_plateau; /* with g.plateau_step(p, value) */
using early_stop = tp_early_stop;
inline bool early_stop_step(early_stop &s, double value) /* true: stop */
{
    return tp_early_stop_step(&s, value);
}

class rate /* where a schedule is wanted, a number is const_() */
{
  public:
    rate() = default;
    template <class T>
        requires std::is_arithmetic_v<T>
    rate(T number) : raw(tp_const(static_cast<double>(number)))
    {
    }
    rate(const schedule &s) : raw(s)
    {
    }
    const schedule &get() const
    {
        return raw;
    }

  private:
    schedule raw = {};
};

struct train_args {
    taper::opt opt = sgd();
    rate lr = {};
    std::vector<tensor> also = {};
    std::int64_t batch = 0;
    double clip_norm = 0, clip_each = 0, clip_value = 0;
    int accumulate = 0;
    double ema = 0;
    int threads = 0;
    std::int64_t memory = 0;
    bool plan_only = false;
    dtype precision = DEFAULT;
    double loss_scale = 0;
    int scale_every = 0;
    bool check = false, probe = false;
    text device = {}; /* "cuda", "cuda-emu" */
    bool tf32 = false;
};
struct compile_args {
    std::int64_t batch = 0;
    int threads = 0;
    text names = {};
    std::int64_t memory = 0;
    bool plan_only = false;
    dtype precision = DEFAULT;
    bool check = false;
    text device = {};
    bool tf32 = false;
};

/* ---- programs -------------------------------------------------------------------------------- */

class program /* compiled: one function over one arena; keeps its graph alive */
{
  public:
    program(detail::home_of graph, tp_program *made) : owner(std::move(graph)), p(made)
    {
    }
    void run(place at = place::current())
    {
        detail::check(owner, tp_run(p.get()), at);
    }
    double get(const tensor &x, place at = place::current()) const /* a scalar output */
    {
        const double number = tp_get(p.get(), detail::raw(x, at));
        detail::check(owner, true, at);
        return number;
    }
    /* Where an input or output lives, for good. */
    template <class T> std::span<T> buffer(const tensor &x, place at = place::current())
    {
        std::size_t bytes = 0;
        void *data = tp_buffer(p.get(), detail::raw(x, at), &bytes);
        detail::check(owner, data || bytes == 0, at);
        detail::same_type<T>(x, at);
        return { static_cast<T *>(data), bytes / sizeof(T) };
    }
    template <class T>
    void read(const tensor &x, std::span<T> to, place at = place::current()) const
    {
        detail::same_type<T>(x, at);
        detail::check(owner, tp_read(p.get(), detail::raw(x, at), to.data(), to.size_bytes()), at);
    }
    void rows(std::int64_t n, place at = place::current())
    {
        detail::check(owner, tp_rows(p.get(), n), at);
    }
    void extent(text symbol, std::int64_t n, place at = place::current())
    {
        detail::check(owner, tp_extent(p.get(), symbol.get(), n), at);
    }
    std::size_t bytes() const
    {
        return tp_program_bytes(p.get());
    }
    std::string engine() const
    {
        return tp_program_engine(p.get());
    }
    std::string explain(text kernel = {}) const
    {
        const char *said = tp_explain(p.get(), kernel.get());
        return said ? said : "";
    }
    void tune(double seconds = 0, text save = {}, place at = place::current())
    {
        detail::check(owner, tp_tune_with(p.get(), tp_tune_args{ seconds, save.get() }), at);
    }
    void emit_ir(text path, place at = place::current()) const
    {
        detail::check(owner, tp_emit_ir(p.get(), path.get()), at);
    }
    void emit_dot(text path, place at = place::current()) const
    {
        detail::check(owner, tp_emit_dot(p.get(), path.get()), at);
    }
    std::vector<probe> probes() const
    {
        std::vector<probe> found(static_cast<std::size_t>(tp_probes(p.get(), 0, nullptr)));
        tp_probes(p.get(), static_cast<int>(found.size()), found.data());
        return found;
    }
    tp_program *get() const
    {
        return p.get();
    }
    const detail::home_of &home() const
    {
        return owner;
    }

  private:
    struct free {
        void operator()(tp_program *one) const
        {
            tp_program_free(one);
        }
    };
    detail::home_of owner; /* goes after the program */
    std::unique_ptr<tp_program, free> p;
};

/* ---- data ------------------------------------------------------------------------------------ */

class column /* of rows that the program has: { "x", { 2 }, numbers } */
{
  public:
    template <class T>
    column(text name, const taper::shape &row, const std::vector<T> &data)
        : column(name, row, std::span<const T>(data))
    {
    }
    template <class T>
    column(text name, const taper::shape &row, std::span<const T> data)
        : raw{ name.get(), dtype_for<T>(), row.get(), data.data() }, elements(data.size())
    {
    }
    /* of a function's rows, or, of f16 and bf16, without a check of the length */
    column(text name, taper::dtype dtype, const taper::shape &row, const void *data = nullptr)
        : raw{ name.get(), dtype, row.get(), data }
    {
    }
    const tp_column &get() const
    {
        return raw;
    }
    void check(std::int64_t rows, const place &at) const
    {
        std::size_t want = rows < 0 ? 0 : static_cast<std::size_t>(rows);
        for (std::int64_t extent : taper::shape(raw.row))
            want = extent <= 0 || want > SIZE_MAX / static_cast<std::size_t>(extent)
                       ? 0
                       : want * static_cast<std::size_t>(extent);
        if (elements && *elements != want)
            detail::refuse("column " + std::string(raw.name ? raw.name : "") + " has " +
                               std::to_string(*elements) + " numbers; expected " +
                               std::to_string(want) + " for " + std::to_string(rows) + " rows",
                           at);
    }

  private:
    tp_column raw;
    std::optional<std::size_t> elements;
};
/* Writes row `row` to each column (null: not wanted), the same whenever it is asked. */
using fill = std::function<void(std::int64_t row, void *const column[])>;

class loader /* batches of a data set */
{
  public:
    static loader data(text format, text path, text part, loader_args o, place at)
    {
        return loader(tp_load_data_with(format.get(), path.get(), raw(part, o)), at);
    }
    static loader made(text set, text part, loader_args o, place at)
    {
        return loader(tp_load_made(set.get(), raw(part, o)), at);
    }
    static loader from_arrays(std::initializer_list<column> columns, std::int64_t rows,
                              loader_args o = {}, place at = place::current())
    {
        std::vector<tp_column> all;
        for (const column &one : columns) {
            one.check(rows, at);
            all.push_back(one.get());
        }
        o.count = rows;
        return loader(tp_loader_from({ static_cast<int>(all.size()), all.data() }, raw({}, o)), at);
    }
    static loader from_fn(std::initializer_list<column> columns, fill function, std::int64_t rows,
                          loader_args o = {}, place at = place::current())
    {
        auto filler = std::make_unique<filling>();
        std::vector<tp_column> all;
        for (const column &one : columns)
            all.push_back(one.get());
        filler->function = std::move(function);
        o.count = rows;
        tp_loader *made = tp_loader_from_function({ static_cast<int>(all.size()), all.data() },
                                                  fill_row, filler.get(), raw({}, o));
        return loader(made, at, std::move(filler));
    }

    /* Fills p's inputs with the next batch; false once at the end of each epoch. */
    bool next(program &p, place at = place::current())
    {
        const bool more = tp_next(l.get(), p.get());
        if (filler)
            filler->rethrow();
        detail::check(p.home(), true, at);
        return more;
    }
    std::int64_t rows() const
    {
        return tp_loader_rows(l.get());
    }
    std::int64_t batches() const
    {
        return tp_loader_batches(l.get());
    }
    std::int64_t classes() const
    {
        return tp_loader_classes(l.get());
    }
    std::string token(std::int64_t i) const
    {
        const char *said = tp_loader_token(l.get(), i);
        return said ? said : "";
    }
    tp_loader *get() const
    {
        return l.get();
    }

  private:
    struct free {
        void operator()(tp_loader *one) const
        {
            tp_loader_free(one);
        }
    };
    struct filling { /* is called on a thread of the loader's: what it throws waits for next() */
        fill function;
        std::mutex lock;
        std::exception_ptr thrown;

        void rethrow()
        {
            std::lock_guard hold(lock);
            if (thrown)
                std::rethrow_exception(std::exchange(thrown, nullptr));
        }
    };
    static void fill_row(void *user, std::int64_t row, void *const to[])
    {
        filling *f = static_cast<filling *>(user);
        try {
            f->function(row, to);
        } catch (...) {
            std::lock_guard hold(f->lock);
            if (!f->thrown)
                f->thrown = std::current_exception();
        }
    }
    static tp_loader_args raw(text part, const loader_args &o)
    {
        return { part.get(), o.batch, o.shuffle,     o.drop_last, o.seed, o.rows.get(), o.ahead,
                 o.count,    o.noise, o.label.get(), o.context,   o.step, o.vocabulary };
    }
    loader(tp_loader *made, place at, std::unique_ptr<filling> with = nullptr)
        : filler(std::move(with)), l(made)
    {
        if (filler)
            filler->rethrow();
        if (!l)
            throw error("no memory for a loader", 1, at);
        if (const char *wrong = tp_loader_error(l.get()))
            throw error(wrong, tp_loader_status(l.get()), at);
    }

    std::unique_ptr<filling> filler; /* goes after the loader, whose thread calls it */
    std::unique_ptr<tp_loader, free> l;
};

inline loader load_data(text path, text part = {}, loader_args o = {}, place at = place::current())
{
    return loader::data({}, path, part, o, at);
}
#define TAPER_LOAD(name, format)                                                                   \
    inline loader name(text path, text part = {}, loader_args o = {}, place at = place::current()) \
    {                                                                                              \
        return loader::data(format, path, part, o, at);                                            \
    }
TAPER_LOAD(load_mnist, "idx")
TAPER_LOAD(load_idx, "idx")
TAPER_LOAD(load_cifar10, "cifar")
TAPER_LOAD(load_csv, "csv")
TAPER_LOAD(load_npy, "npy")
TAPER_LOAD(load_npz, "npz")
TAPER_LOAD(load_text, "text")
TAPER_LOAD(load_names, "names")
TAPER_LOAD(load_words, "words")
#undef TAPER_LOAD
inline loader load_planar(text set, text part = {}, loader_args o = {}, place at = place::current())
{
    return loader::made(set, part, o, at);
}
inline loader load_digits(text part = {}, loader_args o = {}, place at = place::current())
{
    return loader::made("digits", part, o, at);
}
inline loader load_moons(text part = {}, loader_args o = {}, place at = place::current())
{
    return loader::made("moons", part, o, at);
}

struct emit_args {
    const program *eval = nullptr;
    const loader *data = nullptr, *test = nullptr;
    text model = {}, target = {};
    std::int64_t epochs = 0;
    int threads = 0;
};
inline void emit_c(text path, const program &train, emit_args o = {}, place at = place::current())
{
    const bool ok =
        tp_emit_c_with({ path.get(), train.get(), o.eval ? o.eval->get() : nullptr,
                         o.data ? o.data->get() : nullptr, o.test ? o.test->get() : nullptr,
                         o.model.get(), o.target.get(), o.epochs, o.threads });
    detail::check(train.home(), ok, at);
}

/* ---- graphs ---------------------------------------------------------------------------------- */

class scope /* prefixes names as long as it lives: auto in = g.scope("h.0"); */
{
  public:
    scope(detail::home_of graph, text name) : owner(std::move(graph))
    {
        tp_push(owner->g, "%s", name.get() ? name.get() : "");
    }
    scope(const scope &) = delete;
    scope &operator=(const scope &) = delete;
    ~scope()
    {
        tp_pop(owner->g);
    }

  private:
    detail::home_of owner;
};

class logger /* numbers over a run, as TensorBoard reads them */
{
  public:
    logger(detail::home_of graph, text folder, place at)
        : owner(std::move(graph)), log(tp_log_open(owner->g, folder.get()))
    {
        detail::check(owner, log != nullptr, at);
    }
    void number(std::int64_t step, text tag, double value, place at = place::current())
    {
        detail::check(owner, tp_log_number(log.get(), step, tag.get(), value), at);
    }
    void probes(std::int64_t step, const program &p, place at = place::current())
    {
        detail::check(owner, tp_log_probes(log.get(), step, p.get()), at);
    }
    tp_log *get() const
    {
        return log.get();
    }

  private:
    struct close {
        void operator()(tp_log *one) const
        {
            tp_log_close(one);
        }
    };
    detail::home_of owner;
    std::unique_ptr<tp_log, close> log;
};

class graph /* all that is recorded, the parameters; copies are the same graph */
{
  public:
    explicit graph(std::uint64_t seed, place at = place::current()) : graph(tp_graph_new(seed), at)
    {
    }
    explicit graph(detail::home_of home) : owner(std::move(home))
    {
    }
    static graph eager(std::uint64_t seed, place at = place::current()) /* runs each operation */
    {
        return graph(tp_eager_new(seed), at);
    }

    std::int64_t symbol(text name, std::int64_t lo, std::int64_t hi, place at = place::current())
    {
        const std::int64_t made = tp_symbol(owner->g, name.get(), lo, hi);
        detail::check(owner, true, at);
        return made;
    }
    taper::scope scope(text name)
    {
        return taper::scope(owner, name);
    }
    void schedules(text path, place at = place::current()) /* of tune(); no text: the rules' own */
    {
        detail::check(owner, tp_schedules(owner->g, path.get()), at);
    }
    void on_warning(std::function<void(const char *text)> tell) /* empty: nobody is told */
    {
        owner->warned = std::move(tell);
        tp_on_warning(owner->g, owner->warned ? tell_warning : nullptr, owner.get());
    }

    /* Sources: what the caller hands in, what training changes, what else lives on, numbers. */
    tensor input(text name, taper::dtype dtype, const taper::shape &dims,
                 place at = place::current())
    {
        return give(tp_input_at(owner->g, name.get(), dtype, dims.get(), detail::loc(at)), at);
    }
    tensor param(text name, const taper::shape &dims, taper::init init, param_args o = {},
                 place at = place::current())
    {
        return give(tp_param_at(owner->g, name.get(), dims.get(),
                                { init, o.dtype, o.frozen, o.shared }, detail::loc(at)),
                    at);
    }
    tensor state(text name, taper::dtype dtype, const taper::shape &dims, taper::init init = ZEROS,
                 place at = place::current())
    {
        return give(tp_state_at(owner->g, name.get(), dtype, dims.get(), init, detail::loc(at)),
                    at);
    }
    template <class T>
    tensor array(const taper::shape &dims, const std::vector<T> &data, place at = place::current())
    {
        std::size_t want = 1;
        for (std::int64_t extent : dims)
            want = extent < 0 || (extent && want > SIZE_MAX / static_cast<std::size_t>(extent))
                       ? SIZE_MAX
                       : want * static_cast<std::size_t>(extent);
        if (want != data.size())
            detail::refuse("array: " + std::to_string(data.size()) +
                               " numbers; expected as many as the shape has",
                           at);
        return array(dtype_for<T>(), dims, data.data(), at);
    }
    tensor array(taper::dtype dtype, const taper::shape &dims, const void *data,
                 place at = place::current())
    {
        return give(tp_array_at(owner->g, dtype, dims.get(), data, detail::loc(at)), at);
    }
    tensor full(taper::dtype dtype, const taper::shape &dims, double value,
                place at = place::current())
    {
        return give(tp_full_at(owner->g, dtype, dims.get(), value, detail::loc(at)), at);
    }
    tensor zeros(taper::dtype dtype, const taper::shape &dims, place at = place::current())
    {
        return full(dtype, dims, 0, at);
    }
    tensor ones(taper::dtype dtype, const taper::shape &dims, place at = place::current())
    {
        return full(dtype, dims, 1, at);
    }
    tensor arange(taper::dtype dtype, std::int64_t count, place at = place::current())
    {
        return give(tp_arange_at(owner->g, dtype, count, detail::loc(at)), at);
    }
    tensor range(taper::dtype dtype, double start, double end, double step,
                 place at = place::current())
    {
        return give(tp_range_at(owner->g, dtype, start, end, step, detail::loc(at)), at);
    }
    tensor linspace(taper::dtype dtype, double start, double end, std::int64_t count,
                    place at = place::current())
    {
        return give(tp_linspace_at(owner->g, dtype, start, end, count, detail::loc(at)), at);
    }
    tensor eye(taper::dtype dtype, std::int64_t rows, std::int64_t columns,
               place at = place::current())
    {
        return give(tp_eye_at(owner->g, dtype, rows, columns, detail::loc(at)), at);
    }
    tensor tri(taper::dtype dtype, std::int64_t rows, std::int64_t columns, std::int64_t diagonal,
               place at = place::current())
    {
        return give(tp_tri_at(owner->g, dtype, rows, columns, diagonal, detail::loc(at)), at);
    }
    tensor positions(taper::dtype dtype, std::int64_t time, std::int64_t width,
                     place at = place::current())
    {
        return give(tp_positions_at(owner->g, dtype, time, width, detail::loc(at)), at);
    }
    tensor alibi(taper::dtype dtype, std::int64_t heads, std::int64_t queries, std::int64_t keys,
                 place at = place::current())
    {
        return give(tp_alibi_at(owner->g, dtype, heads, queries, keys, detail::loc(at)), at);
    }
    tensor causal_mask(std::int64_t queries, std::int64_t keys, const operand &from,
                       place at = place::current())
    {
        return give(
            tp_causal_mask_at(owner->g, queries, keys, detail::raw(from, at), detail::loc(at)), at);
    }
    /* Chance, new at every run. */
    tensor rand(taper::dtype dtype, const taper::shape &dims, place at = place::current())
    {
        return give(tp_rand_at(owner->g, dtype, dims.get(), detail::loc(at)), at);
    }
    tensor randn(taper::dtype dtype, const taper::shape &dims, place at = place::current())
    {
        return give(tp_randn_at(owner->g, dtype, dims.get(), detail::loc(at)), at);
    }
    tensor randint(taper::dtype dtype, const taper::shape &dims, std::int64_t low,
                   std::int64_t high, place at = place::current())
    {
        return give(tp_randint_at(owner->g, dtype, dims.get(), low, high, detail::loc(at)), at);
    }
    tensor randperm(std::int64_t count, place at = place::current())
    {
        return give(tp_randperm_at(owner->g, count, detail::loc(at)), at);
    }
    tensor uniform(taper::dtype dtype, const taper::shape &dims, double lo, double hi,
                   place at = place::current())
    {
        return draw("uniform", dtype, dims, lo, hi, at);
    }
    tensor normal(taper::dtype dtype, const taper::shape &dims, double mean, double deviation,
                  place at = place::current())
    {
        return draw("normal", dtype, dims, mean, deviation, at);
    }
    tensor trunc_normal(taper::dtype dtype, const taper::shape &dims, double mean, double deviation,
                        place at = place::current())
    {
        return draw("trunc_normal", dtype, dims, mean, deviation, at);
    }
    tensor exponential(taper::dtype dtype, const taper::shape &dims, double rate,
                       place at = place::current())
    {
        return draw("exponential", dtype, dims, rate, 0, at);
    }
    tensor gumbel(taper::dtype dtype, const taper::shape &dims, place at = place::current())
    {
        return draw("gumbel", dtype, dims, 0, 1, at);
    }

    /* Compiling: values for looking at; any function, TRAIN: with its assignments. */
    program compile_eval(const list &outputs, compile_args o = {}, place at = place::current())
    {
        return compile(outputs, EVAL, o, at);
    }
    program compile(const list &outputs, mode how, compile_args o = {}, place at = place::current())
    {
        const std::vector<tp_tensor> all = detail::raws(outputs.x, at);
        tp_program *made =
            tp_compile_at(owner->g, detail::raw_list(all),
                          { how, o.batch, o.threads, o.names.get(), o.memory, o.plan_only,
                            o.precision, o.check, o.device.get(), o.tf32 },
                          detail::loc(at));
        detail::check(owner, made != nullptr, at);
        return program(owner, made);
    }
    int use_ema(place at = place::current())
    {
        const int count = tp_use_ema(owner->g);
        detail::check(owner, true, at);
        return count;
    }
    void set_rate(double rate, place at = place::current())
    {
        detail::check(owner, tp_set_rate(owner->g, rate), at);
    }

    /* Multiplies the given rate where `value` has not become better. */
    void plateau_step(plateau &p, double value, place at = place::current())
    {
        detail::check(owner, tp_plateau_step(owner->g, &p, value), at);
    }

    /* Parameters and files. */
    std::optional<tensor> find(text name, place at = place::current())
    {
        const tp_tensor found = tp_find(owner->g, name.get());
        detail::check(owner, true, at);
        return found.id ? std::optional(tensor(owner, found.id)) : std::nullopt;
    }
    std::vector<tensor> params(text glob = "*", place at = place::current())
    {
        std::vector<tp_tensor> found(
            static_cast<std::size_t>(tp_params(owner->g, glob.get(), 0, nullptr)));
        tp_params(owner->g, glob.get(), static_cast<int>(found.size()), found.data());
        return detail::give(owner, found, at);
    }
    std::int64_t param_count() const
    {
        return tp_param_count(owner->g);
    }
    void load(text path, load_args o = {}, place at = place::current())
    {
        detail::check(owner, tp_load_with(owner->g, { path.get(), o.partial, o.prefix.get() }), at);
    }
    void save(text path, place at = place::current())
    {
        detail::check(owner, tp_save(owner->g, path.get()), at);
    }
    /* What a model computes as an ONNX file; names of the outputs: "scores, classes" */
    void export_onnx(text path, const list &outputs, text names = {}, place at = place::current())
    {
        const std::vector<tp_tensor> all = detail::raws(outputs.x, at);
        detail::check(owner,
                      tp_export_onnx_at(owner->g, path.get(), detail::raw_list(all), names.get(),
                                        detail::loc(at)),
                      at);
    }
    void save_checkpoint(text path, const loader *data = nullptr,
                         std::span<const double> numbers = {}, place at = place::current())
    {
        std::vector<double> copy(numbers.begin(), numbers.end());
        const tp_checkpoint_args args = { path.get(), data ? data->get() : nullptr,
                                          static_cast<int>(copy.size()), copy.data() };
        detail::check(owner, tp_save_checkpoint_with(owner->g, args), at);
    }
    void resume(text path, loader *data = nullptr, std::span<double> numbers = {},
                place at = place::current())
    {
        const tp_checkpoint_args args = { path.get(), data ? data->get() : nullptr,
                                          static_cast<int>(numbers.size()), numbers.data() };
        detail::check(owner, tp_resume_with(owner->g, args), at);
    }
    logger log_open(text folder, place at = place::current())
    {
        return logger(owner, folder, at);
    }

    /* Of eager graphs. */
    void update(const opt &how, const rate &lr, place at = place::current())
    {
        const bool ok = how.with([&](const tp_opt &raw) {
            return tp_update_at(owner->g, raw, lr.get(), detail::loc(at));
        });
        detail::check(owner, ok, at);
    }
    /* What is held stays, `derived` with its history; the tensors are renumbered in place. */
    void keep(std::span<tensor> held, bool derived, place at = place::current())
    {
        std::vector<tp_tensor> raws;
        const auto which = std::make_unique<bool[]>(held.size() + 1);
        for (std::size_t i = 0; i < held.size(); i++) {
            raws.push_back(detail::raw(held[i], at));
            which[i] = derived;
        }
        detail::check(
            owner, tp_keep(owner->g, static_cast<int>(raws.size()), raws.data(), which.get()), at);
        for (std::size_t i = 0; i < held.size(); i++)
            held[i] = tensor(owner, raws[i].id);
    }
    std::uint32_t tape(std::size_t *bytes = nullptr) const
    {
        return tp_tape(owner->g, bytes);
    }

    tp_graph *get() const
    {
        return owner->g;
    }
    const detail::home_of &home() const
    {
        return owner;
    }
    bool operator==(const graph &other) const = default;

  private:
    graph(tp_graph *made, place at)
    {
        if (!made)
            throw error(tp_error(nullptr), 1, at);
        owner = std::make_shared<detail::home>(made);
    }
    static void tell_warning(const char *text, void *home)
    {
        static_cast<detail::home *>(home)->warned(text);
    }
    tensor give(tp_tensor made, place at)
    {
        return detail::give(owner, made, at);
    }
    tensor draw(const char *kind, taper::dtype dtype, const taper::shape &dims, double a, double b,
                place at)
    {
        return give(tp_draw_at(owner->g, kind, dtype, dims.get(), a, b, detail::loc(at)), at);
    }
    detail::home_of owner;
};
inline taper::graph tensor::graph() const
{
    return taper::graph(owner);
}

/* The whole training step: compile_train(loss, { .opt = adam(), .lr = 1e-3 }). */
inline program compile_train(const tensor &loss, const train_args &o = {},
                             place at = place::current())
{
    const detail::home_of &h = detail::home_at(loss, at);
    const std::vector<tp_tensor> also = detail::raws(o.also, at);
    tp_program *made = o.opt.with([&](const tp_opt &opt) {
        return tp_compile_train_at(
            { loss.get(),   opt,         o.lr.get(),     detail::raw_list(also),
              o.batch,      o.clip_norm, o.clip_each,    o.clip_value,
              o.accumulate, o.ema,       o.threads,      o.memory,
              o.plan_only,  o.precision, o.loss_scale,   o.scale_every,
              o.check,      o.probe,     o.device.get(), o.tf32 },
            detail::loc(at));
    });
    detail::check(h, made != nullptr, at);
    return program(h, made);
}

/* ---- one element from one element ------------------------------------------------------------ */

inline tensor unary(text op, const tensor &x, place at = place::current())
{
    return detail::give(x, tp_unary_at(op.get(), detail::raw(x, at), detail::loc(at)), at);
}
inline tensor binary(text op, const operand &a, const operand &b, place at = place::current())
{
    const detail::home_of &h = detail::home_at(a, b, at);
    return detail::give(
        h, tp_binary_at(op.get(), detail::raw(a, at), detail::raw(b, at), detail::loc(at)), at);
}
inline tensor formula(text name, const list &x, std::initializer_list<double> numbers = {},
                      place at = place::current())
{
    const detail::home_of &h = detail::home_at(x, at);
    const std::vector<tp_tensor> all = detail::raws(x.x, at);
    tp_numbers n = {};
    if (numbers.size() > 3)
        detail::refuse("more than three numbers; expected at most three", at);
    for (double one : numbers)
        n.at[n.count++] = one;
    return detail::give(h, tp_formula_at(name.get(), detail::raw_list(all), n, detail::loc(at)),
                        at);
}

#define TAPER_UNARY(name)                                            \
    inline tensor name(const tensor &x, place at = place::current()) \
    {                                                                \
        return unary(#name, x, at);                                  \
    }
TAPER_UNARY(neg)
TAPER_UNARY(abs)
TAPER_UNARY(sign)
TAPER_UNARY(exp)
TAPER_UNARY(exp2)
TAPER_UNARY(expm1)
TAPER_UNARY(log)
TAPER_UNARY(log1p)
TAPER_UNARY(sqrt)
TAPER_UNARY(rsqrt)
TAPER_UNARY(sin)
TAPER_UNARY(cos)
TAPER_UNARY(tan)
TAPER_UNARY(asin)
TAPER_UNARY(acos)
TAPER_UNARY(atan)
TAPER_UNARY(sinh)
TAPER_UNARY(cosh)
TAPER_UNARY(tanh)
TAPER_UNARY(asinh)
TAPER_UNARY(acosh)
TAPER_UNARY(atanh)
TAPER_UNARY(erf)
TAPER_UNARY(erfc)
TAPER_UNARY(erfinv)
TAPER_UNARY(relu)
TAPER_UNARY(floor)
TAPER_UNARY(ceil)
TAPER_UNARY(round)
TAPER_UNARY(trunc)
TAPER_UNARY(isnan)
TAPER_UNARY(stop_gradient)
TAPER_UNARY(barrier)
#undef TAPER_UNARY
inline tensor not_(const tensor &x, place at = place::current())
{
    return unary("not", x, at);
}

#define TAPER_BINARY(name, op)                                                          \
    inline tensor name(const operand &a, const operand &b, place at = place::current()) \
    {                                                                                   \
        return binary(op, a, b, at);                                                    \
    }
TAPER_BINARY(add, "add")
TAPER_BINARY(sub, "sub")
TAPER_BINARY(mul, "mul")
TAPER_BINARY(div, "div")
TAPER_BINARY(pow, "pow")
TAPER_BINARY(maximum, "max")
TAPER_BINARY(minimum, "min")
TAPER_BINARY(rem, "rem")
TAPER_BINARY(mod, "mod")
TAPER_BINARY(atan2, "atan2")
TAPER_BINARY(and_, "and")
TAPER_BINARY(or_, "or")
TAPER_BINARY(xor_, "xor")
TAPER_BINARY(shl, "shl")
TAPER_BINARY(shr, "shr")
TAPER_BINARY(eq, "eq")
TAPER_BINARY(ne, "ne")
TAPER_BINARY(lt, "lt")
TAPER_BINARY(le, "le")
#undef TAPER_BINARY
inline tensor gt(const operand &a, const operand &b, place at = place::current())
{
    return binary("lt", b, a, at);
}
inline tensor ge(const operand &a, const operand &b, place at = place::current())
{
    return binary("le", b, a, at);
}

/* The place is the right operand's: of a sum over several lines each has its own. */
#define TAPER_OPERATOR(sign, op)                                    \
    inline tensor operator sign(const operand &a, const operand &b) \
    {                                                               \
        return binary(op, a, b, b.at);                              \
    }                                                               \
    inline tensor &operator sign##=(tensor & a, const operand & b)  \
    {                                                               \
        return a = binary(op, operand(a, b.at), b, b.at);           \
    }
TAPER_OPERATOR(+, "add")
TAPER_OPERATOR(-, "sub")
TAPER_OPERATOR(*, "mul")
TAPER_OPERATOR(/, "div")
TAPER_OPERATOR(%, "rem")
TAPER_OPERATOR(&, "and")
TAPER_OPERATOR(|, "or")
TAPER_OPERATOR(^, "xor")
TAPER_OPERATOR(<<, "shl")
TAPER_OPERATOR(>>, "shr")
#undef TAPER_OPERATOR
inline tensor operator-(const operand &x)
{
    return unary("neg", x.x, x.at);
}
inline tensor operator~(const operand &x)
{
    return unary("not", x.x, x.at);
}

inline tensor where(const tensor &condition, const operand &a, const operand &b,
                    place at = place::current())
{
    return detail::give(condition,
                        tp_where_at(detail::raw(condition, at), detail::raw(a, at),
                                    detail::raw(b, at), detail::loc(at)),
                        at);
}
inline tensor cast(const tensor &x, dtype type, place at = place::current())
{
    return detail::give(x, tp_cast_at(detail::raw(x, at), type, detail::loc(at)), at);
}

/* Composed of them, with the numbers that may follow x: elu(x), elu(x, 0.5), clamp(x, 0, 1). */
#define TAPER_FORMULA(name)                                                              \
    inline tensor name(const tensor &x, place at = place::current())                     \
    {                                                                                    \
        return formula(#name, { x }, {}, at);                                            \
    }                                                                                    \
    inline tensor name(const tensor &x, double a, place at = place::current())           \
    {                                                                                    \
        return formula(#name, { x }, { a }, at);                                         \
    }                                                                                    \
    inline tensor name(const tensor &x, double a, double b, place at = place::current()) \
    {                                                                                    \
        return formula(#name, { x }, { a, b }, at);                                      \
    }
TAPER_FORMULA(sigmoid)
TAPER_FORMULA(log_sigmoid)
TAPER_FORMULA(silu)
TAPER_FORMULA(gelu)
TAPER_FORMULA(gelu_tanh)
TAPER_FORMULA(gelu_quick)
TAPER_FORMULA(relu6)
TAPER_FORMULA(softplus)
TAPER_FORMULA(softsign)
TAPER_FORMULA(mish)
TAPER_FORMULA(hardsigmoid)
TAPER_FORMULA(hardswish)
TAPER_FORMULA(hardtanh)
TAPER_FORMULA(selu)
TAPER_FORMULA(leaky_relu)
TAPER_FORMULA(elu)
TAPER_FORMULA(celu)
TAPER_FORMULA(tanhshrink)
TAPER_FORMULA(softshrink)
TAPER_FORMULA(hardshrink)
TAPER_FORMULA(threshold)
TAPER_FORMULA(squareplus)
TAPER_FORMULA(square)
TAPER_FORMULA(cube)
TAPER_FORMULA(reciprocal)
TAPER_FORMULA(log2)
TAPER_FORMULA(log10)
TAPER_FORMULA(deg2rad)
TAPER_FORMULA(rad2deg)
TAPER_FORMULA(frac)
TAPER_FORMULA(sinc)
TAPER_FORMULA(logit)
TAPER_FORMULA(isinf)
TAPER_FORMULA(isfinite)
TAPER_FORMULA(logical_not)
TAPER_FORMULA(clamp)
#undef TAPER_FORMULA

namespace detail
{
inline tensor formula_of(const char *name, std::initializer_list<operand> x,
                         std::initializer_list<double> numbers, const place &at)
{
    home_of h;
    std::vector<tp_tensor> all;
    tp_numbers n = {};
    for (const operand &one : x) {
        all.push_back(raw(one, at));
        if (!one.is_number && !h)
            h = one.x.home();
    }
    if (!h)
        refuse(std::string(name) + ": only numbers; expected a tensor", at);
    for (double one : numbers)
        n.at[n.count++] = one;
    return give(h, tp_formula_at(name, raw_list(all), n, loc(at)), at);
}
} /* namespace detail */
#define TAPER_FORMULA2(name)                                                            \
    inline tensor name(const operand &a, const operand &b, place at = place::current()) \
    {                                                                                   \
        return detail::formula_of(#name, { a, b }, {}, at);                             \
    }
TAPER_FORMULA2(hypot)
TAPER_FORMULA2(logaddexp)
TAPER_FORMULA2(copysign)
TAPER_FORMULA2(xlogy)
TAPER_FORMULA2(logical_and)
TAPER_FORMULA2(logical_or)
TAPER_FORMULA2(logical_xor)
TAPER_FORMULA2(isclose)
#undef TAPER_FORMULA2
inline tensor lerp(const operand &a, const operand &b, const operand &weight,
                   place at = place::current())
{
    return detail::formula_of("lerp", { a, b, weight }, {}, at);
}
inline tensor addcmul(const operand &a, const operand &b, const operand &c, double value = 1,
                      place at = place::current())
{
    return detail::formula_of("addcmul", { a, b, c }, { value }, at);
}
inline tensor addcdiv(const operand &a, const operand &b, const operand &c, double value = 1,
                      place at = place::current())
{
    return detail::formula_of("addcdiv", { a, b, c }, { value }, at);
}
inline tensor floor_divide(const operand &a, const operand &b, place at = place::current())
{
    const detail::home_of &h = detail::home_at(a, b, at);
    return detail::give(
        h, tp_floor_divide_at(detail::raw(a, at), detail::raw(b, at), detail::loc(at)), at);
}

namespace detail
{
/* f(x, numbers.., place), which most functions of taper.h are. */
template <class F, class... Rest>
tensor on(const tensor &x, const place &at, F f, const Rest &...rest)
{
    return give(x, f(raw(x, at), rest..., loc(at)), at);
}
/* f("name", x, numbers.., place) */
template <class F, class... Rest>
tensor named(const char *name, const tensor &x, const place &at, F f, const Rest &...rest)
{
    return give(x, f(name, raw(x, at), rest..., loc(at)), at);
}
inline tp_tensor maybe(const tensor &x) /* of options: an empty one is left out */
{
    return x ? x.get() : tp_as_number(0);
}
/* where f has written through a pointer that the user may have given */
inline void put(tensor *to, const tensor &like, const tp_tensor &from)
{
    if (to)
        *to = tensor(like.home(), from.id);
}
} /* namespace detail */

inline tensor nan_to_num(const tensor &x, place at = place::current())
{
    return detail::on(x, at, tp_nan_to_num_at);
}
inline tensor prelu(const tensor &x, const tensor &weight, place at = place::current())
{
    return detail::on(x, at, tp_prelu_at, detail::raw(weight, at));
}
inline tensor rrelu(const tensor &x, double lower = 1.0 / 8, double upper = 1.0 / 3,
                    place at = place::current())
{
    return detail::on(x, at, tp_rrelu_at, lower, upper);
}
#define TAPER_GLU(name)                                                        \
    inline tensor name(const tensor &x, int axis, place at = place::current()) \
    {                                                                          \
        return detail::named(#name, x, at, tp_glu_at, axis);                   \
    }
TAPER_GLU(glu)
TAPER_GLU(reglu)
TAPER_GLU(geglu)
TAPER_GLU(swiglu)
#undef TAPER_GLU

/* ---- one element from many ------------------------------------------------------------------- */

/* sum(x), sum(x, 1), sum(x, { 0, -1 }), sum(x, ALL, { .keepdim = true }) */
inline tensor reduce(text op, const tensor &x, const axes &over = ALL, reduce_args o = {},
                     place at = place::current())
{
    return detail::named(op.get(), x, at, tp_reduce_at,
                         tp_reduce_args{ over.get(), o.keepdim, o.biased, o.correction });
}
#define TAPER_REDUCE(name)                                                          \
    inline tensor name(const tensor &x, const axes &over = ALL, reduce_args o = {}, \
                       place at = place::current())                                 \
    {                                                                               \
        return reduce(#name, x, over, o, at);                                       \
    }
TAPER_REDUCE(sum)
TAPER_REDUCE(mean)
TAPER_REDUCE(prod)
TAPER_REDUCE(amax)
TAPER_REDUCE(amin)
TAPER_REDUCE(all)
TAPER_REDUCE(any)
TAPER_REDUCE(argmax)
TAPER_REDUCE(argmin)
TAPER_REDUCE(var)
TAPER_REDUCE(std)
TAPER_REDUCE(logsumexp)
TAPER_REDUCE(logmeanexp)
TAPER_REDUCE(count_nonzero)
#undef TAPER_REDUCE
/* Both, the mean into *mean. */
inline tensor var_mean(tensor *mean, const tensor &x, const axes &over = ALL, reduce_args o = {},
                       place at = place::current())
{
    *mean = taper::mean(x, over, o, at);
    return var(x, over, o, at);
}
inline tensor norm(const tensor &x, double p, const axes &over = ALL, reduce_args o = {},
                   place at = place::current())
{
    return detail::on(x, at, tp_norm_at, p,
                      tp_reduce_args{ over.get(), o.keepdim, o.biased, o.correction });
}
inline tensor normalize(const tensor &x, double p, int axis, double eps = 1e-12,
                        place at = place::current())
{
    return detail::on(x, at, tp_normalize_at, p, axis, eps);
}
inline tensor l2_normalize(const tensor &x, int axis, place at = place::current())
{
    return normalize(x, 2, axis, 1e-12, at);
}
inline tensor softmax(const tensor &x, int axis, place at = place::current())
{
    return detail::named("softmax", x, at, tp_softmax_at, axis);
}
inline tensor log_softmax(const tensor &x, int axis, place at = place::current())
{
    return detail::named("log_softmax", x, at, tp_softmax_at, axis);
}
inline tensor softmin(const tensor &x, int axis, place at = place::current())
{
    return softmax(neg(x, at), axis, at);
}

/* ---- the same elements in another place ------------------------------------------------------ */

inline tensor reshape(const tensor &x, const shape &dims, place at = place::current())
{
    return detail::on(x, at, tp_reshape_at, dims.get());
}
inline tensor flatten(const tensor &x, int from, int to = 0, place at = place::current())
{
    return detail::on(x, at, tp_flatten_at, tp_flatten_args{ from, to });
}
inline tensor unflatten(const tensor &x, int axis, const shape &dims, place at = place::current())
{
    return detail::on(x, at, tp_unflatten_at, axis, dims.get());
}
inline tensor squeeze(const tensor &x, const axes &which, place at = place::current())
{
    return detail::on(x, at, tp_squeeze_at, which.get());
}
inline tensor unsqueeze(const tensor &x, int axis, place at = place::current())
{
    return detail::on(x, at, tp_unsqueeze_at, axis);
}
inline tensor movedim(const tensor &x, int from, int to, place at = place::current())
{
    return detail::on(x, at, tp_movedim_at, from, to);
}
inline tensor permute(const tensor &x, const shape &axes, place at = place::current())
{
    return detail::on(x, at, tp_permute_at, axes.get());
}
inline tensor transpose(const tensor &x, int a, int b, place at = place::current())
{
    return detail::on(x, at, tp_transpose_at, a, b);
}
inline tensor swapaxes(const tensor &x, int a, int b, place at = place::current())
{
    return transpose(x, a, b, at);
}
inline tensor expand(const tensor &x, const shape &dims, place at = place::current())
{
    return detail::on(x, at, tp_expand_at, dims.get());
}
inline std::vector<tensor> split(const tensor &x, const shape &sizes, int axis,
                                 place at = place::current())
{
    const detail::home_of &h = detail::home_at(x, at);
    std::vector<tp_tensor> out(static_cast<std::size_t>(sizes.rank()));
    detail::check(h, tp_split_at(x.get(), sizes.get(), axis, out.data(), detail::loc(at)), at);
    return detail::give(h, out, at);
}
inline std::vector<tensor> chunk(const tensor &x, int count, int axis, place at = place::current())
{
    const detail::home_of &h = detail::home_at(x, at);
    std::vector<tp_tensor> out(static_cast<std::size_t>(count > 0 ? count : 0));
    const int made = tp_chunk_at(x.get(), count, axis, out.data(), detail::loc(at));
    detail::check(h, made >= 0, at);
    out.resize(static_cast<std::size_t>(made));
    return detail::give(h, out, at);
}
inline std::vector<tensor> unbind(const tensor &x, int axis, place at = place::current())
{
    const detail::home_of &h = detail::home_at(x, at);
    const std::int64_t extent = x.dim(axis);
    std::vector<tp_tensor> out(
        static_cast<std::size_t>(extent > 0 && extent < 1 << 20 ? extent : 0));
    const int made =
        tp_unbind_at(x.get(), axis, static_cast<int>(out.size()), out.data(), detail::loc(at));
    detail::check(h, made == static_cast<int>(out.size()), at);
    return detail::give(h, out, at);
}
inline tensor slice(const tensor &x, int axis, std::int64_t start, slice_args o = {},
                    place at = place::current())
{
    return detail::on(x, at, tp_slice_at, axis, start, tp_slice_args{ o.stop, o.step });
}
inline tensor narrow(const tensor &x, int axis, std::int64_t start, std::int64_t length,
                     place at = place::current())
{
    return detail::on(x, at, tp_narrow_at, axis, start, length);
}
inline tensor select(const tensor &x, int axis, std::int64_t i, place at = place::current())
{
    return detail::on(x, at, tp_index_at, axis, i);
}
inline tensor index(const tensor &x, std::int64_t i, place at = place::current())
{
    return select(x, 0, i, at);
}
inline tensor pick(const tensor &x, text brackets, place at = place::current())
{
    return detail::on(x, at, tp_pick_at, brackets.get());
}
inline tensor tensor::operator[](const subscript &s) const
{
    return s.words.get() ? pick(*this, s.words, s.at) : index(*this, s.i, s.at);
}
inline tensor flip(const tensor &x, const shape &axes, place at = place::current())
{
    return detail::on(x, at, tp_flip_at, axes.get());
}
inline tensor pad(const tensor &x, const shape &lo, const shape &hi, double value,
                  place at = place::current())
{
    return detail::on(x, at, tp_pad_at, lo.get(), hi.get(), value);
}
inline tensor pad_mode(const tensor &x, const shape &lo, const shape &hi, text mode,
                       place at = place::current())
{
    return detail::on(x, at, tp_pad_mode_at, lo.get(), hi.get(), mode.get());
}
inline tensor tile(const tensor &x, const shape &times, place at = place::current())
{
    return detail::on(x, at, tp_tile_at, times.get());
}
inline tensor repeat(const tensor &x, const shape &times, place at = place::current())
{
    return tile(x, times, at);
}
inline tensor repeat_interleave(const tensor &x, std::int64_t times, int axis,
                                place at = place::current())
{
    return detail::on(x, at, tp_repeat_interleave_at, times, axis);
}
inline tensor roll(const tensor &x, std::int64_t shift, int axis, place at = place::current())
{
    return detail::on(x, at, tp_roll_at, shift, axis);
}
inline tensor rot90(const tensor &x, int times, int a, int b, place at = place::current())
{
    return detail::on(x, at, tp_rot90_at, times, a, b);
}
inline tensor diagonal(const tensor &x, std::int64_t offset, int a, int b,
                       place at = place::current())
{
    return detail::on(x, at, tp_diagonal_at, offset, a, b);
}
inline tensor diag(const tensor &x, std::int64_t offset = 0, place at = place::current())
{
    return detail::on(x, at, tp_diag_at, offset);
}
inline tensor trace(const tensor &x, place at = place::current())
{
    return detail::on(x, at, tp_trace_at);
}
inline tensor tril(const tensor &x, std::int64_t diagonal = 0, place at = place::current())
{
    return detail::named("tp_tril", x, at, tp_triangle_at, diagonal);
}
inline tensor triu(const tensor &x, std::int64_t diagonal = 0, place at = place::current())
{
    return detail::named("tp_triu", x, at, tp_triangle_at, diagonal);
}
inline tensor pixel_shuffle(const tensor &x, std::int64_t r, place at = place::current())
{
    return detail::on(x, at, tp_pixel_shuffle_at, r);
}
inline tensor pixel_unshuffle(const tensor &x, std::int64_t r, place at = place::current())
{
    return detail::on(x, at, tp_pixel_unshuffle_at, r);
}
inline tensor space_to_depth(const tensor &x, std::int64_t r, place at = place::current())
{
    return pixel_unshuffle(x, r, at);
}
inline tensor channel_shuffle(const tensor &x, std::int64_t groups, place at = place::current())
{
    return detail::on(x, at, tp_channel_shuffle_at, groups);
}
inline tensor concat(int axis, const list &x, place at = place::current())
{
    const detail::home_of &h = detail::home_at(x, at);
    const std::vector<tp_tensor> all = detail::raws(x.x, at);
    return detail::give(h, tp_concat_at(axis, detail::raw_list(all), detail::loc(at)), at);
}
inline tensor stack(int axis, const list &x, place at = place::current())
{
    const detail::home_of &h = detail::home_at(x, at);
    const std::vector<tp_tensor> all = detail::raws(x.x, at);
    return detail::give(h, tp_stack_at(axis, detail::raw_list(all), detail::loc(at)), at);
}
/* One for each vector. */
inline std::vector<tensor> meshgrid(const list &vectors, place at = place::current())
{
    const detail::home_of &h = detail::home_at(vectors, at);
    const std::vector<tp_tensor> all = detail::raws(vectors.x, at);
    std::vector<tp_tensor> out(all.size());
    detail::check(h, tp_meshgrid_at(detail::raw_list(all), out.data(), detail::loc(at)), at);
    return detail::give(h, out, at);
}
inline tensor take(const tensor &x, int axis, const tensor &index, place at = place::current())
{
    return detail::on(x, at, tp_take_at, axis, detail::raw(index, at));
}
inline tensor index_select(const tensor &x, int axis, const tensor &index,
                           place at = place::current())
{
    return take(x, axis, index, at);
}
inline tensor gather(const tensor &x, int axis, const tensor &index, place at = place::current())
{
    return detail::on(x, at, tp_gather_at, axis, detail::raw(index, at));
}
inline tensor take_along_axis(const tensor &x, const tensor &index, int axis,
                              place at = place::current())
{
    return gather(x, axis, index, at);
}
inline tensor index_add(const tensor &x, int axis, const tensor &index, const tensor &source,
                        double alpha = 1, place at = place::current())
{
    return detail::on(x, at, tp_index_add_at, axis, detail::raw(index, at), detail::raw(source, at),
                      alpha);
}
inline tensor scatter_add(const tensor &x, int axis, const tensor &index, const tensor &source,
                          place at = place::current())
{
    return detail::on(x, at, tp_scatter_add_at, axis, detail::raw(index, at),
                      detail::raw(source, at));
}
inline tensor masked_fill(const tensor &x, const tensor &mask, double value,
                          place at = place::current())
{
    return detail::on(x, at, tp_masked_fill_at, detail::raw(mask, at), value);
}
inline tensor scatter(const tensor &x, int axis, const tensor &index, const operand &source,
                      place at = place::current())
{
    return detail::named("set", x, at, tp_scatter_at, axis, detail::raw(index, at),
                         detail::raw(source, at));
}
inline tensor scatter_max(const tensor &x, int axis, const tensor &index, const operand &source,
                          place at = place::current())
{
    return detail::named("max", x, at, tp_scatter_at, axis, detail::raw(index, at),
                         detail::raw(source, at));
}
inline tensor scatter_min(const tensor &x, int axis, const tensor &index, const operand &source,
                          place at = place::current())
{
    return detail::named("min", x, at, tp_scatter_at, axis, detail::raw(index, at),
                         detail::raw(source, at));
}
inline tensor scatter_mul(const tensor &x, int axis, const tensor &index, const operand &source,
                          place at = place::current())
{
    return detail::named("mul", x, at, tp_scatter_at, axis, detail::raw(index, at),
                         detail::raw(source, at));
}
inline tensor index_copy(const tensor &x, int axis, const tensor &index, const operand &source,
                         place at = place::current())
{
    return detail::on(x, at, tp_index_copy_at, axis, detail::raw(index, at),
                      detail::raw(source, at));
}
inline tensor index_fill(const tensor &x, int axis, const tensor &index, const operand &value,
                         place at = place::current())
{
    return index_copy(x, axis, index, value, at);
}
inline tensor dynamic_slice(const tensor &x, int axis, const operand &start, std::int64_t length,
                            place at = place::current())
{
    return detail::on(x, at, tp_dynamic_slice_at, axis, detail::raw(start, at), length);
}
inline tensor dynamic_update(const tensor &x, int axis, const operand &start, const tensor &part,
                             place at = place::current())
{
    return detail::on(x, at, tp_dynamic_update_at, axis, detail::raw(start, at),
                      detail::raw(part, at));
}
inline tensor one_hot(const tensor &index, std::int64_t classes, dtype type = F32,
                      place at = place::current())
{
    return detail::on(index, at, tp_one_hot_at, classes, type);
}

/* ---- likes and chance ------------------------------------------------------------------------ */

inline tensor full_like(const tensor &x, double value, place at = place::current())
{
    return detail::on(x, at, tp_full_like_at, value);
}
inline tensor zeros_like(const tensor &x, place at = place::current())
{
    return full_like(x, 0, at);
}
inline tensor ones_like(const tensor &x, place at = place::current())
{
    return full_like(x, 1, at);
}
inline tensor rand_like(const tensor &x, place at = place::current())
{
    return taper::graph(detail::home_at(x, at)).rand(x.dtype(), x.shape(), at);
}
inline tensor randn_like(const tensor &x, place at = place::current())
{
    return taper::graph(detail::home_at(x, at)).randn(x.dtype(), x.shape(), at);
}
inline tensor bernoulli(const tensor &p, place at = place::current())
{
    return detail::on(p, at, tp_bernoulli_at);
}
inline tensor categorical(const tensor &logits, place at = place::current())
{
    return detail::on(logits, at, tp_categorical_at);
}
inline tensor multinomial(const tensor &p, std::int64_t count, bool replacement,
                          place at = place::current())
{
    return detail::on(p, at, tp_multinomial_at, count, replacement);
}
inline tensor sample(const tensor &logits, double temperature, sample_args o = {},
                     place at = place::current())
{
    return detail::on(logits, at, tp_sample_at, tp_sample_args{ temperature, o.top_k, o.top_p });
}

/* ---- in order -------------------------------------------------------------------------------- */

#define TAPER_CUMULATE(name)                                                   \
    inline tensor name(const tensor &x, int axis, place at = place::current()) \
    {                                                                          \
        return detail::named(#name, x, at, tp_cumulate_at, axis);              \
    }
TAPER_CUMULATE(cumsum)
TAPER_CUMULATE(cumprod)
TAPER_CUMULATE(cummax)
TAPER_CUMULATE(cummin)
#undef TAPER_CUMULATE
inline tensor logcumsumexp(const tensor &x, int axis, place at = place::current())
{
    return detail::on(x, at, tp_logcumsumexp_at, axis);
}
inline tensor recurrence(const operand &factor, const tensor &x, int axis,
                         place at = place::current())
{
    return detail::give(
        x, tp_recurrence_at(detail::raw(factor, at), detail::raw(x, at), axis, detail::loc(at)),
        at);
}
inline tensor argsort(const tensor &x, int axis, sort_args o = {}, place at = place::current())
{
    return detail::on(x, at, tp_argsort_at, tp_sort_args{ axis, o.descending, nullptr });
}
inline tensor sort(const tensor &x, int axis, sort_args o = {}, place at = place::current())
{
    tp_tensor where = {};
    const tensor made = detail::on(x, at, tp_sort_at,
                                   tp_sort_args{ axis, o.descending, o.index ? &where : nullptr });
    detail::put(o.index, x, where);
    return made;
}
inline tensor topk(const tensor &x, std::int64_t k, int axis, topk_args o = {},
                   place at = place::current())
{
    tp_tensor where = {};
    const tensor made = detail::on(x, at, tp_topk_at,
                                   tp_topk_args{ k, axis, o.smallest, o.index ? &where : nullptr });
    detail::put(o.index, x, where);
    return made;
}
inline tensor kthvalue(const tensor &x, std::int64_t k, int axis, sort_args o = {},
                       place at = place::current())
{
    tp_tensor where = {};
    const tensor made = detail::on(x, at, tp_kthvalue_at, k,
                                   tp_sort_args{ axis, o.descending, o.index ? &where : nullptr });
    detail::put(o.index, x, where);
    return made;
}
inline tensor median(const tensor &x, std::int64_t axis, place at = place::current())
{
    return detail::named("tp_median", x, at, tp_quantile_at, 0.5, axis);
}
inline tensor quantile(const tensor &x, double q, std::int64_t axis, place at = place::current())
{
    return detail::named("tp_quantile", x, at, tp_quantile_at, q, axis);
}
inline tensor searchsorted(const tensor &rows, const tensor &values, place at = place::current())
{
    return detail::on(rows, at, tp_searchsorted_at, detail::raw(values, at), false);
}
inline tensor searchsorted_right(const tensor &rows, const tensor &values,
                                 place at = place::current())
{
    return detail::on(rows, at, tp_searchsorted_at, detail::raw(values, at), true);
}
inline tensor bincount(const tensor &index, std::int64_t size, place at = place::current())
{
    return detail::on(index, at, tp_bincount_at, tp_as_number(1), size);
}
inline tensor bincount_weighted(const tensor &index, const tensor &weight, std::int64_t size,
                                place at = place::current())
{
    return detail::on(index, at, tp_bincount_at, detail::raw(weight, at), size);
}
inline tensor histogram(const tensor &x, std::int64_t bins, double low, double high,
                        place at = place::current())
{
    return detail::on(x, at, tp_histogram_at, bins, low, high);
}
inline tensor nonzero(const tensor &x, std::int64_t size, double fill, place at = place::current())
{
    return detail::on(x, at, tp_nonzero_at, size, fill);
}

/* ---- products -------------------------------------------------------------------------------- */

inline tensor matmul(const tensor &a, const tensor &b, place at = place::current())
{
    return detail::on(a, at, tp_matmul_at, detail::raw(b, at));
}
inline tensor matmul_nt(const tensor &a, const tensor &b, place at = place::current())
{
    return detail::on(a, at, tp_matmul_nt_at, detail::raw(b, at));
}
inline tensor dot(text letters, const tensor &a, const tensor &b, place at = place::current())
{
    return detail::named(letters.get(), a, at, tp_dot_at, detail::raw(b, at));
}
inline tensor bmm(const tensor &a, const tensor &b, place at = place::current())
{
    return detail::on(a, at, tp_bmm_at, detail::raw(b, at));
}
inline tensor outer(const tensor &a, const tensor &b, place at = place::current())
{
    return detail::on(a, at, tp_outer_at, detail::raw(b, at));
}
inline tensor kron(const tensor &a, const tensor &b, place at = place::current())
{
    return detail::on(a, at, tp_kron_at, detail::raw(b, at));
}
inline tensor addmm(const tensor &x, const tensor &a, const tensor &b, double beta = 1,
                    double alpha = 1, place at = place::current())
{
    return detail::on(x, at, tp_addmm_at, detail::raw(a, at), detail::raw(b, at), beta, alpha);
}
inline tensor einsum(text equation, const list &x, place at = place::current())
{
    const detail::home_of &h = detail::home_at(x, at);
    const std::vector<tp_tensor> all = detail::raws(x.x, at);
    return detail::give(h, tp_einsum_at(equation.get(), detail::raw_list(all), detail::loc(at)),
                        at);
}

/* ---- layers ---------------------------------------------------------------------------------- */

inline tensor linear(const tensor &x, text name, std::int64_t out, linear_args o = {},
                     place at = place::current())
{
    return detail::on(x, at, tp_linear_at, name.get(),
                      tp_linear_args{ out, o.no_bias, o.shared, o.frozen, o.init });
}
inline tensor mlp(const tensor &x, text name, const shape &widths, place at = place::current())
{
    return detail::on(x, at, tp_mlp_at, name.get(), widths.get());
}

namespace detail
{
inline tp_conv_args conv(std::int64_t out, const sizes &kernel, const conv_args &o)
{
    return { out,
             kernel.one(),
             o.stride.one(),
             o.pad.one(),
             o.dilation.one(),
             o.groups,
             0,
             o.no_bias,
             o.shared,
             o.frozen,
             o.init,
             o.same,
             kernel.list(),
             o.stride.list(),
             o.pad.list(),
             o.dilation.list(),
             o.out_pad.one(),
             o.out_pad.list(),
             o.pad_mode.get() };
}
inline tp_pool_args pool(const sizes &kernel, const pool_args &o)
{
    return {
        kernel.one(),  o.stride.one(),  o.pad.one(),  o.dilation.one(), o.ceil, o.exclude_pad, o.p,
        kernel.list(), o.stride.list(), o.pad.list(), o.dilation.list()
    };
}
inline tp_norm_args norm(text name, std::int64_t groups, const norm_args &o)
{
    return { name.get(), o.eps,    o.momentum, o.no_scale, o.shared,
             o.no_bias,  o.affine, o.axes,     groups };
}
} /* namespace detail */

/* conv2d(x, "conv1", 6, 5, { .pad = 2 }), conv2d(x, "conv2", 16, { 3, 5 }) */
#define TAPER_CONV(name_, axes)                                                                 \
    inline tensor name_(const tensor &x, text name, std::int64_t out, const sizes &kernel,      \
                        const conv_args &o = {}, place at = place::current())                   \
    {                                                                                           \
        return detail::give(detail::home_at(x, at),                                             \
                            tp_conv_at("tp_" #name_, axes, x.get(), name.get(),                 \
                                       detail::conv(out, kernel, o), detail::loc(at)),          \
                            at);                                                                \
    }                                                                                           \
    inline tensor name_##_of(const tensor &x, const tensor &weight, const tensor &bias = {},    \
                             const conv_args &o = {}, place at = place::current())              \
    {                                                                                           \
        return detail::give(detail::home_at(x, at),                                             \
                            tp_conv_of_at("tp_" #name_, axes, x.get(), detail::raw(weight, at), \
                                          detail::maybe(bias), detail::conv(0, {}, o),          \
                                          detail::loc(at)),                                     \
                            at);                                                                \
    }
TAPER_CONV(conv1d, 1)
TAPER_CONV(conv2d, 2)
TAPER_CONV(conv3d, 3)
TAPER_CONV(conv_transpose1d, 1)
TAPER_CONV(conv_transpose2d, 2)
TAPER_CONV(conv_transpose3d, 3)
#undef TAPER_CONV

#define TAPER_SEPARABLE(name_, axes)                                                             \
    inline tensor name_(const tensor &x, text name, std::int64_t out, const sizes &kernel,       \
                        const conv_args &o = {}, place at = place::current())                    \
    {                                                                                            \
        return detail::give(detail::home_at(x, at),                                              \
                            tp_separable_conv_at("tp_" #name_, axes, x.get(), name.get(),        \
                                                 detail::conv(out, kernel, o), detail::loc(at)), \
                            at);                                                                 \
    }
TAPER_SEPARABLE(separable_conv1d, 1)
TAPER_SEPARABLE(separable_conv2d, 2)
#undef TAPER_SEPARABLE

struct layer { /* { .what = "conv2d", .out = 6, .kernel = 5 } */
    text what = {};
    std::int64_t out = 0, kernel = 0, stride = 0, pad = 0, groups = 0;
    double p = 0;
    bool no_bias = false;
    text name = {};
    taper::init init = {};
};
inline tensor sequential(const tensor &x, text name, std::initializer_list<layer> layers,
                         place at = place::current())
{
    std::vector<tp_layer> all;
    for (const layer &l : layers)
        all.push_back({ l.what.get(), l.out, l.kernel, l.stride, l.pad, l.groups, l.p, l.no_bias,
                        l.name.get(), l.init });
    return detail::on(x, at, tp_sequential_at, name.get(), static_cast<int>(all.size()),
                      all.data());
}

inline tensor embed(const tensor &index, text name, std::int64_t rows, std::int64_t width,
                    place at = place::current())
{
    return detail::on(index, at, tp_embed_at, name.get(), rows, width);
}
inline tensor embedding(const tensor &weight, const tensor &index, place at = place::current())
{
    return take(weight, 0, index, at);
}
inline tensor embedding_padded(const tensor &weight, const tensor &index, std::int64_t padding,
                               place at = place::current())
{
    return detail::on(weight, at, tp_embedding_padded_at, detail::raw(index, at), padding);
}
inline tensor embedding_bag(const tensor &weight, const tensor &index, text mode,
                            place at = place::current())
{
    return reduce(mode, embedding(weight, index, at), -2, {}, at);
}

/* max_pool2d(x, 2), max_pool2d(x, 3, { .stride = 2, .pad = 1 }) */
#define TAPER_POOL(name, axes)                                                               \
    inline tensor name(const tensor &x, const sizes &kernel, const pool_args &o = {},        \
                       place at = place::current())                                          \
    {                                                                                        \
        return detail::give(                                                                 \
            detail::home_at(x, at),                                                          \
            tp_pool_at(#name, axes, x.get(), detail::pool(kernel, o), detail::loc(at)), at); \
    }
TAPER_POOL(max_pool1d, 1)
TAPER_POOL(max_pool2d, 2)
TAPER_POOL(max_pool3d, 3)
TAPER_POOL(avg_pool1d, 1)
TAPER_POOL(avg_pool2d, 2)
TAPER_POOL(avg_pool3d, 3)
TAPER_POOL(lp_pool1d, 1)
TAPER_POOL(lp_pool2d, 2)
TAPER_POOL(lp_pool3d, 3)
#undef TAPER_POOL
inline tensor adaptive_avg_pool(const tensor &x, const shape &size, place at = place::current())
{
    return detail::named("adaptive_avg_pool", x, at, tp_adaptive_pool_at, size.get());
}
inline tensor adaptive_max_pool(const tensor &x, const shape &size, place at = place::current())
{
    return detail::named("adaptive_max_pool", x, at, tp_adaptive_pool_at, size.get());
}
inline tensor max_pool_places(int axes, const tensor &x, const sizes &kernel,
                              const pool_args &o = {}, place at = place::current())
{
    return detail::give(
        detail::home_at(x, at),
        tp_max_pool_places_at(axes, x.get(), detail::pool(kernel, o), detail::loc(at)), at);
}
inline tensor max_unpool(const tensor &x, const tensor &places, const shape &size,
                         place at = place::current())
{
    return detail::on(x, at, tp_max_unpool_at, detail::raw(places, at), size.get());
}
inline tensor global_avg_pool(const tensor &x, place at = place::current())
{
    return detail::named("global_avg_pool", x, at, tp_global_pool_at);
}
inline tensor global_max_pool(const tensor &x, place at = place::current())
{
    return detail::named("global_max_pool", x, at, tp_global_pool_at);
}
inline tensor interpolate(const tensor &x, text mode, const shape &size,
                          place at = place::current())
{
    return detail::on(x, at, tp_interpolate_at, mode.get(), size.get(), false);
}
inline tensor interpolate_corners(const tensor &x, text mode, const shape &size,
                                  place at = place::current())
{
    return detail::on(x, at, tp_interpolate_at, mode.get(), size.get(), true);
}
inline tensor upsample(const tensor &x, text mode, std::int64_t scale, place at = place::current())
{
    return detail::on(x, at, tp_upsample_at, mode.get(), scale);
}
inline tensor grid_sample(const tensor &x, const tensor &grid, text mode, grid_args o = {},
                          place at = place::current())
{
    return detail::on(x, at, tp_grid_sample_at, detail::raw(grid, at),
                      tp_grid_args{ mode.get(), o.padding.get(), o.corners });
}
inline tensor affine_grid(const tensor &theta, std::int64_t height, std::int64_t width,
                          bool corners, place at = place::current())
{
    return detail::on(theta, at, tp_affine_grid_at, height, width, corners);
}
inline tensor unfold(const tensor &x, const sizes &kernel, const pool_args &o = {},
                     place at = place::current())
{
    return detail::on(x, at, tp_unfold_at, detail::pool(kernel, o));
}
inline tensor fold(const tensor &columns, const shape &size, const sizes &kernel,
                   const pool_args &o = {}, place at = place::current())
{
    return detail::on(columns, at, tp_fold_at, size.get(), detail::pool(kernel, o));
}

inline tensor batch_norm(const tensor &x, text name, norm_args o = {}, place at = place::current())
{
    return detail::on(x, at, tp_batch_norm_at, detail::norm(name, 0, o));
}
inline tensor layer_norm(const tensor &x, text name, norm_args o = {}, place at = place::current())
{
    return detail::on(x, at, tp_layer_norm_at, detail::norm(name, 0, o));
}
inline tensor rms_norm(const tensor &x, text name, norm_args o = {}, place at = place::current())
{
    return detail::on(x, at, tp_rms_norm_at, detail::norm(name, 0, o));
}
inline tensor group_norm(const tensor &x, text name, std::int64_t groups, norm_args o = {},
                         place at = place::current())
{
    return detail::named("tp_group_norm", x, at, tp_group_norm_at, detail::norm(name, groups, o));
}
inline tensor instance_norm(const tensor &x, text name, norm_args o = {},
                            place at = place::current())
{
    return detail::named("tp_instance_norm", x, at, tp_group_norm_at, detail::norm(name, 0, o));
}
inline tensor local_response_norm(const tensor &x, std::int64_t size, lrn_args o = {},
                                  place at = place::current())
{
    return detail::on(x, at, tp_local_response_norm_at, tp_lrn_args{ size, o.alpha, o.beta, o.k });
}
inline tensor weight_norm(const tensor &v, const tensor &g, int axis, place at = place::current())
{
    return detail::on(v, at, tp_weight_norm_at, detail::raw(g, at), axis);
}
inline tensor dropout(const tensor &x, double p, place at = place::current())
{
    return detail::named("tp_dropout", x, at, tp_dropout_at, p, 0);
}
inline tensor dropout2d(const tensor &x, double p, place at = place::current())
{
    return detail::named("tp_dropout2d", x, at, tp_dropout_at, p, 2);
}
inline tensor drop_path(const tensor &x, double p, place at = place::current())
{
    return detail::named("tp_drop_path", x, at, tp_dropout_at, p, 1);
}
inline tensor alpha_dropout(const tensor &x, double p, place at = place::current())
{
    return detail::on(x, at, tp_alpha_dropout_at, p);
}
inline tensor random_flip(const tensor &x, int axis, double p, place at = place::current())
{
    return detail::on(x, at, tp_random_flip_at, axis, p);
}
inline tensor random_shift(const tensor &x, int axis, std::int64_t most,
                           place at = place::current())
{
    return detail::on(x, at, tp_random_shift_at, axis, most);
}
inline tensor random_crop(const tensor &x, int axis, std::int64_t length,
                          place at = place::current())
{
    return detail::on(x, at, tp_random_crop_at, axis, length);
}
inline tensor standardise(const tensor &x, const std::vector<float> &mean,
                          const std::vector<float> &deviation, place at = place::current())
{
    detail::home_at(x, at);
    if (x.rank() > 1 && (static_cast<std::int64_t>(mean.size()) != x.dim(1) ||
                         static_cast<std::int64_t>(deviation.size()) != x.dim(1)))
        detail::refuse("standardise: " + std::to_string(mean.size()) + " means and " +
                           std::to_string(deviation.size()) +
                           " deviations; expected one of each for each of " +
                           std::to_string(x.dim(1)) + " channels",
                       at);
    return detail::on(x, at, tp_standardise_at, mean.data(), deviation.data());
}

/* Layers of given weights; an empty bias (or scale) is left out. */
inline tensor linear_of(const tensor &x, const tensor &weight, const tensor &bias = {},
                        place at = place::current())
{
    return detail::on(x, at, tp_linear_of_at, detail::raw(weight, at), detail::maybe(bias));
}
inline tensor layer_norm_of(const tensor &x, const tensor &weight, const tensor &bias, int count,
                            double eps, bool centred, place at = place::current())
{
    return detail::on(x, at, tp_layer_norm_of_at, detail::maybe(weight), detail::maybe(bias), count,
                      eps, centred);
}
inline tensor group_norm_of(const tensor &x, const tensor &weight, const tensor &bias,
                            std::int64_t groups, double eps, place at = place::current())
{
    return detail::on(x, at, tp_group_norm_of_at, detail::maybe(weight), detail::maybe(bias),
                      groups, eps);
}
inline tensor batch_norm_of(const tensor &x, const tensor &weight, const tensor &bias,
                            tensor (&running)[2], bool training, double momentum, double eps,
                            place at = place::current())
{
    tp_tensor raw[2] = { detail::maybe(running[0]), detail::maybe(running[1]) };
    const tensor made = detail::on(x, at, tp_batch_norm_of_at, detail::maybe(weight),
                                   detail::maybe(bias), +raw, training, momentum, eps);
    for (int i = 0; i < 2; i++)
        if (raw[i].g)
            running[i] = tensor(x.home(), raw[i].id);
    return made;
}

namespace detail
{
inline recurrent give(const tensor &like, const tp_recurrent &made, const place &at)
{
    recurrent all = { give(like, made.y, at), give(like, made.h, at), {} };
    if (made.c.g && made.c.id)
        all.c = tensor(like.home(), made.c.id);
    return all;
}
inline recurrent recur(const char *kind, const tensor &x, text name, std::int64_t hidden,
                       const recurrent_args &o, const place &at)
{
    const tp_recurrent_args raw_args = { hidden,    o.layers,   o.bidirectional, o.batch_first,
                                         o.no_bias, o.relu,     o.shared,        o.frozen,
                                         o.dropout, maybe(o.h), maybe(o.c) };
    const tp_tensor in = raw(x, at);
    return give(x, tp_recurrent_at(kind, in, name.get(), raw_args, loc(at)), at);
}
} /* namespace detail */
#define TAPER_RECURRENT(name_)                                                        \
    inline recurrent name_(const tensor &x, text name, std::int64_t hidden,           \
                           const recurrent_args &o = {}, place at = place::current()) \
    {                                                                                 \
        return detail::recur(#name_, x, name, hidden, o, at);                         \
    }
TAPER_RECURRENT(rnn)
TAPER_RECURRENT(lstm)
TAPER_RECURRENT(gru)
#undef TAPER_RECURRENT
inline recurrent recurrent_cell(text kind, const tensor &x, const list &start, const list &weights,
                                bool reverse, place at = place::current())
{
    const tp_tensor in = detail::raw(x, at);
    const std::vector<tp_tensor> first = detail::raws(start.x, at),
                                 given = detail::raws(weights.x, at);
    return detail::give(x,
                        tp_recurrent_cell_at(kind.get(), in, detail::raw_list(first),
                                             detail::raw_list(given), reverse, detail::loc(at)),
                        at);
}

inline tensor attention(const tensor &q, const tensor &k, const tensor &v, attention_args o = {},
                        place at = place::current())
{
    return detail::on(q, at, tp_attention_at, detail::raw(k, at),
                      tp_attention_args{ detail::raw(v, at), o.causal, detail::maybe(o.mask),
                                         o.dropout, o.scale, o.window });
}
inline tensor multi_head_attention(const tensor &x, text name, std::int64_t heads, mha_args o = {},
                                   place at = place::current())
{
    return detail::on(x, at, tp_multi_head_attention_at, name.get(),
                      tp_mha_args{ heads, o.causal, o.no_bias, o.shared, o.frozen,
                                   detail::maybe(o.memory), detail::maybe(o.mask), o.dropout });
}
inline tensor kv_cache(const tensor &x, text name, std::int64_t places, const operand &from,
                       place at = place::current())
{
    return detail::on(x, at, tp_kv_cache_at, name.get(), places, detail::raw(from, at));
}
inline tensor rotary(const tensor &x, rotary_args o = {}, place at = place::current())
{
    return detail::on(x, at, tp_rotary_at, tp_rotary_args{ o.base, o.from, o.interleaved });
}

/* ---- losses ---------------------------------------------------------------------------------- */

namespace detail
{
inline tp_loss_args loss(const tensor &target, const tensor &third, const loss_args &o,
                         const place &at)
{
    return { raw(target, at), maybe(third), o.reduction, maybe(o.weight), maybe(o.pos_weight),
             o.beta,          o.delta,      o.margin,    o.eps,           o.p,
             o.alpha,         o.gamma,      o.full,      o.log_target,    o.rate,
             o.swap };
}
inline tp_class_args classes(const tensor &target, const class_args &o, const place &at)
{
    return { raw(target, at), o.reduction, maybe(o.weight), o.smoothing, o.ignore_index, o.axis };
}
} /* namespace detail */
#define TAPER_LOSS(name)                                                                 \
    inline tensor name(const tensor &x, const tensor &target, const loss_args &o = {},   \
                       place at = place::current())                                      \
    {                                                                                    \
        return detail::named(#name, x, at, tp_loss_at, detail::loss(target, {}, o, at)); \
    }
TAPER_LOSS(mse)
TAPER_LOSS(l1)
TAPER_LOSS(smooth_l1)
TAPER_LOSS(huber)
TAPER_LOSS(bce)
TAPER_LOSS(bce_with_logits)
TAPER_LOSS(kl_div)
TAPER_LOSS(poisson_nll)
TAPER_LOSS(hinge)
TAPER_LOSS(hinge_embedding)
TAPER_LOSS(soft_margin)
TAPER_LOSS(focal)
#undef TAPER_LOSS
inline tensor gaussian_nll(const tensor &x, const tensor &target, const tensor &variance,
                           const loss_args &o = {}, place at = place::current())
{
    return detail::named("gaussian_nll", x, at, tp_loss_at, detail::loss(target, variance, o, at));
}
inline tensor margin_ranking(const tensor &a, const tensor &b, const tensor &sign,
                             const loss_args &o = {}, place at = place::current())
{
    return detail::named("margin_ranking", a, at, tp_loss_at, detail::loss(b, sign, o, at));
}
inline tensor dice(const tensor &x, const tensor &target, const loss_args &o = {},
                   place at = place::current())
{
    return detail::on(x, at, tp_dice_at, detail::loss(target, {}, o, at));
}
inline tensor cosine_embedding(const tensor &a, const tensor &b, const tensor &sign,
                               const loss_args &o = {}, place at = place::current())
{
    return detail::on(a, at, tp_cosine_embedding_at, detail::raw(b, at),
                      detail::loss(sign, {}, o, at));
}
inline tensor triplet_margin(const tensor &anchor, const tensor &positive, const tensor &negative,
                             const loss_args &o = {}, place at = place::current())
{
    return detail::on(anchor, at, tp_triplet_margin_at, detail::raw(positive, at),
                      detail::loss(negative, {}, o, at));
}
inline tensor multi_margin(const tensor &x, const tensor &target, const loss_args &o = {},
                           place at = place::current())
{
    return detail::on(x, at, tp_multi_margin_at, detail::loss(target, {}, o, at));
}
inline tensor cosine_similarity(const tensor &a, const tensor &b, int axis, double eps = 1e-8,
                                place at = place::current())
{
    return detail::on(a, at, tp_cosine_similarity_at, detail::raw(b, at), axis, eps);
}
inline tensor pairwise_distance(const tensor &a, const tensor &b, double p, double eps = 1e-6,
                                place at = place::current())
{
    return detail::on(a, at, tp_pairwise_distance_at, detail::raw(b, at), p, eps);
}
inline tensor cross_entropy(const tensor &logits, const tensor &target, const class_args &o = {},
                            place at = place::current())
{
    return detail::named("tp_cross_entropy", logits, at, tp_class_loss_at,
                         detail::classes(target, o, at));
}
inline tensor nll(const tensor &logs, const tensor &target, const class_args &o = {},
                  place at = place::current())
{
    return detail::named("tp_nll", logs, at, tp_class_loss_at, detail::classes(target, o, at));
}
inline tensor ctc(const tensor &logs, const tensor &target, const ctc_args &o = {},
                  place at = place::current())
{
    return detail::on(logs, at, tp_ctc_at,
                      tp_ctc_args{ detail::raw(target, at), detail::maybe(o.steps),
                                   detail::maybe(o.lengths), o.blank, o.reduction,
                                   o.zero_infinity });
}

/* ---- metrics --------------------------------------------------------------------------------- */

inline tensor accuracy(const tensor &x, const tensor &classes, place at = place::current())
{
    return detail::on(x, at, tp_accuracy_at, detail::raw(classes, at));
}
inline tensor topk_accuracy(const tensor &x, const tensor &classes, std::int64_t k,
                            place at = place::current())
{
    return detail::on(x, at, tp_topk_accuracy_at, detail::raw(classes, at), k);
}
inline tensor confusion_matrix(const tensor &said, const tensor &classes, std::int64_t count,
                               place at = place::current())
{
    return detail::on(said, at, tp_confusion_matrix_at, detail::raw(classes, at), count);
}
inline tensor precision(const tensor &matrix, place at = place::current())
{
    return detail::named("tp_precision", matrix, at, tp_class_score_at);
}
inline tensor recall(const tensor &matrix, place at = place::current())
{
    return detail::named("tp_recall", matrix, at, tp_class_score_at);
}
inline tensor f1(const tensor &matrix, place at = place::current())
{
    return detail::named("tp_f1", matrix, at, tp_class_score_at);
}
inline tensor perplexity(const tensor &logits, const tensor &ids, place at = place::current())
{
    return detail::on(logits, at, tp_perplexity_at, detail::raw(ids, at));
}
inline tensor r2(const tensor &x, const tensor &target, place at = place::current())
{
    return detail::on(x, at, tp_r2_at, detail::raw(target, at));
}

/* ---- derivatives, effects, functions of the user --------------------------------------------- */

/* One derivative for each of wrt. */
inline std::vector<tensor> vjp(const tensor &y, const operand &cotangent, const list &wrt,
                               place at = place::current())
{
    const tp_tensor of = detail::raw(y, at);
    const std::vector<tp_tensor> by = detail::raws(wrt.x, at);
    std::vector<tp_tensor> out(by.size());
    detail::check(y.home(),
                  tp_vjp_at(of, detail::raw(cotangent, at), static_cast<int>(by.size()), by.data(),
                            out.data(), detail::loc(at)),
                  at);
    return detail::give(y.home(), out, at);
}
inline std::vector<tensor> grad(const tensor &y, const list &wrt, place at = place::current())
{
    return vjp(y, 1, wrt, at);
}
inline tensor grad_of(const tensor &y, const tensor &x, place at = place::current())
{
    return detail::on(y, at, tp_grad_of_at, detail::raw(x, at));
}
inline tensor jvp(const tensor &y, const list &x, const list &along, place at = place::current())
{
    const tp_tensor of = detail::raw(y, at);
    const std::vector<tp_tensor> from = detail::raws(x.x, at), by = detail::raws(along.x, at);
    tp_tensor out = {};
    if (from.size() != by.size())
        detail::refuse("jvp: " + std::to_string(from.size()) + " tensors and " +
                           std::to_string(by.size()) + " directions; expected one for each",
                       at);
    detail::check(
        y.home(),
        tp_jvp_at(of, static_cast<int>(from.size()), from.data(), by.data(), &out, detail::loc(at)),
        at);
    return detail::give(y, out, at);
}
/* An error says which slope is wrong, and by how much. */
inline void gradcheck(const tensor &y, const list &x, place at = place::current())
{
    const tp_tensor of = detail::raw(y, at);
    const std::vector<tp_tensor> all = detail::raws(x.x, at);
    detail::check(y.home(),
                  tp_gradcheck_at(of, static_cast<int>(all.size()), all.data(), detail::loc(at)),
                  at);
}
inline std::vector<bool> depends(const tensor &y, const list &x, place at = place::current())
{
    const std::vector<tp_tensor> all = detail::raws(x.x, at);
    const auto out = std::make_unique<bool[]>(all.size() + 1);
    tp_depends(detail::raw(y, at), static_cast<int>(all.size()), all.data(), out.get());
    return std::vector<bool>(out.get(), out.get() + all.size());
}
inline void assign(const tensor &state, const operand &value, place at = place::current())
{
    const detail::home_of &h = detail::home_at(state, at);
    tp_assign_at(state.get(), detail::raw(value, at), detail::loc(at));
    detail::check(h, true, at);
}

namespace detail
{
/* C calls the user's function: what that throws must not pass through C, and goes on behind it. */
struct calling {
    home_of h;
    std::exception_ptr thrown;

    explicit calling(const home_of &graph) : h(graph)
    {
        h->inside++;
    }
    calling(const calling &) = delete;
    calling &operator=(const calling &) = delete;
    ~calling()
    {
        h->inside--;
    }
    template <class F> void guard(F f)
    {
        try {
            if (!thrown)
                f();
        } catch (...) {
            thrown = std::current_exception();
        }
    }
    void finish(bool ok, const place &at)
    {
        const bool outermost = h->inside == 1;
        if (thrown) {
            if (outermost && tp_error(h->g))
                tp_clear_error(h->g);
            std::rethrow_exception(thrown);
        }
        if (!ok || tp_error(h->g)) {
            h->inside--; /* fail() clears the error where nobody in C waits for it */
            try {
                fail(h, at, "this cannot be done");
            } catch (...) {
                h->inside++;
                throw;
            }
        }
    }
    std::vector<tensor> wrap(const tp_tensor *x, std::size_t n) const
    {
        std::vector<tensor> all;
        for (std::size_t i = 0; i < n; i++)
            all.emplace_back(h, x[i].id);
        return all;
    }
    static void unwrap(const std::vector<tensor> &from, tp_tensor *to)
    {
        for (std::size_t i = 0; i < from.size(); i++)
            if (from[i])
                to[i] = from[i].get();
    }
};
} /* namespace detail */

using scan_body =
    std::function<void(std::span<tensor> carry, std::span<const tensor> x, std::span<tensor> y)>;
using branch = std::function<void(std::span<const tensor> x, std::span<tensor> y)>;
using gradient_rule = std::function<void(std::span<const tensor> x, std::span<const tensor> y,
                                         std::span<const tensor> dy, std::span<tensor> dx)>;

/*
 * The body makes the next carries, in place, and this step's outputs y; recorded once. `carry` then
 * holds the last ones; the outputs of all steps are returned.
 *     std::vector<taper::tensor> sum = { zero };
 *     auto sums = scan(sum, { x }, 1, [](auto carry, auto x, auto y) {
 *         y[0] = carry[0] += x[0];
 *     })[0];
 */
inline std::vector<tensor> scan(std::vector<tensor> &carry, const list &x, int outputs,
                                const scan_body &body, scan_args o = {},
                                place at = place::current())
{
    struct call {
        detail::calling calling;
        const scan_body &body;
        std::size_t carries, slices, outputs;
        static void run(void *user, tp_tensor next[], const tp_tensor in[], tp_tensor out[])
        {
            call *c = static_cast<call *>(user);
            c->calling.guard([&] {
                std::vector<tensor> carried = c->calling.wrap(next, c->carries);
                const std::vector<tensor> given = c->calling.wrap(in, c->slices);
                std::vector<tensor> made(c->outputs);
                c->body(carried, given, made);
                detail::calling::unwrap(carried, next);
                detail::calling::unwrap(made, out);
            });
        }
    };
    const detail::home_of h =
        x.x.empty() ? detail::home_at(list(carry), at) : detail::home_at(x, at);
    std::vector<tp_tensor> carried = detail::raws(carry, at);
    const std::vector<tp_tensor> slices = detail::raws(x.x, at);
    std::vector<tp_tensor> out(static_cast<std::size_t>(outputs > 0 ? outputs : 0));
    call c{ detail::calling(h), body, carried.size(), slices.size(), out.size() };
    const bool ok =
        tp_scan_at(h->g, call::run, &c, static_cast<int>(carried.size()), carried.data(),
                   static_cast<int>(slices.size()), slices.data(), static_cast<int>(out.size()),
                   { out.data(), o.reverse, o.length }, detail::loc(at));
    c.calling.finish(ok, at);
    carry = detail::give(h, carried, at);
    return detail::give(h, out, at);
}

using while_test = std::function<tensor(std::span<const tensor> carry)>;
using while_body = std::function<void(std::span<tensor> carry)>;
/* The body again and again, at most `most` times, as long as the test is true. */
inline void while_(std::vector<tensor> &carry, const while_test &test, const while_body &body,
                   std::int64_t most, place at = place::current())
{
    struct call {
        detail::calling calling;
        const while_test &test;
        const while_body &body;
        std::size_t carries;
        static tp_tensor ask(void *user, const tp_tensor now[])
        {
            call *c = static_cast<call *>(user);
            tensor said;
            c->calling.guard([&] {
                const std::vector<tensor> carried = c->calling.wrap(now, c->carries);
                said = c->test(carried);
            });
            return said ? said.get() : tensor(c->calling.h, 0).get();
        }
        static void run(void *user, tp_tensor next[], const tp_tensor[], tp_tensor[])
        {
            call *c = static_cast<call *>(user);
            c->calling.guard([&] {
                std::vector<tensor> carried = c->calling.wrap(next, c->carries);
                c->body(carried);
                detail::calling::unwrap(carried, next);
            });
        }
    };
    const detail::home_of h = detail::home_at(list(carry), at);
    std::vector<tp_tensor> carried = detail::raws(carry, at);
    call c{ detail::calling(h), test, body, carried.size() };
    const bool ok = tp_while_at(h->g, call::ask, call::run, &c, static_cast<int>(carried.size()),
                                carried.data(), most, detail::loc(at));
    c.calling.finish(ok, at);
    carry = detail::give(h, carried, at);
}

/* One of two functions, as `when` says at run time. Both make so many results, of x and of
 * whatever they capture. */
inline std::vector<tensor> cond(const tensor &when, const branch &then, const branch &otherwise,
                                const list &x = {}, int outputs = 1, place at = place::current())
{
    struct call {
        detail::calling calling;
        const branch &then, &otherwise;
        std::size_t n, outputs;
        void run(const branch &side, const tp_tensor in[], tp_tensor out[])
        {
            calling.guard([&] {
                const std::vector<tensor> given = calling.wrap(in, n);
                std::vector<tensor> made(outputs);
                side(given, made);
                detail::calling::unwrap(made, out);
            });
        }
        static void first(void *user, const tp_tensor in[], tp_tensor out[])
        {
            call *c = static_cast<call *>(user);
            c->run(c->then, in, out);
        }
        static void second(void *user, const tp_tensor in[], tp_tensor out[])
        {
            call *c = static_cast<call *>(user);
            c->run(c->otherwise, in, out);
        }
    };
    const detail::home_of &h = detail::home_at(when, at);
    const std::vector<tp_tensor> in = detail::raws(x.x, at);
    std::vector<tp_tensor> out(static_cast<std::size_t>(outputs > 0 ? outputs : 0));
    call c{ detail::calling(h), then, otherwise, in.size(), out.size() };
    const bool ok =
        tp_cond_at(when.get(), call::first, call::second, &c, static_cast<int>(in.size()),
                   in.data(), outputs, out.data(), detail::loc(at));
    c.calling.finish(ok, at);
    return detail::give(h, out, at);
}

/* A function with a derivative of its own; what the rule leaves out is zero. */
inline std::vector<tensor> with_gradient(const branch &function, const gradient_rule &rule,
                                         const list &x, int outputs = 1,
                                         place at = place::current())
{
    struct call {
        detail::calling calling;
        const branch &function;
        const gradient_rule &rule;
        std::size_t n, outputs;
        static void run(void *user, const tp_tensor in[], tp_tensor out[])
        {
            call *c = static_cast<call *>(user);
            c->calling.guard([&] {
                const std::vector<tensor> given = c->calling.wrap(in, c->n);
                std::vector<tensor> made(c->outputs);
                c->function(given, made);
                detail::calling::unwrap(made, out);
            });
        }
        static void derive(void *user, const tp_tensor in[], const tp_tensor out[],
                           const tp_tensor dout[], tp_tensor din[])
        {
            call *c = static_cast<call *>(user);
            c->calling.guard([&] {
                const std::vector<tensor> given = c->calling.wrap(in, c->n),
                                          made = c->calling.wrap(out, c->outputs),
                                          dy = c->calling.wrap(dout, c->outputs);
                std::vector<tensor> dx(c->n);
                c->rule(given, made, dy, dx);
                detail::calling::unwrap(dx, din);
            });
        }
    };
    const detail::home_of &h = detail::home_at(x, at);
    const std::vector<tp_tensor> in = detail::raws(x.x, at);
    std::vector<tp_tensor> out(static_cast<std::size_t>(outputs > 0 ? outputs : 0));
    call c{ detail::calling(h), function, rule, in.size(), out.size() };
    const bool ok = tp_with_gradient_at(call::run, call::derive, &c, static_cast<int>(in.size()),
                                        in.data(), outputs, out.data(), detail::loc(at));
    c.calling.finish(ok, at);
    return detail::give(h, out, at);
}

struct custom_args {
    tp_function *backward = nullptr;
    void *user = nullptr;
    text source = {};
};
/* A C function as an operation; what it is called with is in taper.h. It must not throw. */
inline tensor custom(text name, const list &x, dtype type, const shape &dims, tp_function *function,
                     custom_args o = {}, place at = place::current())
{
    const detail::home_of &h = detail::home_at(x, at);
    const std::vector<tp_tensor> all = detail::raws(x.x, at);
    return detail::give(h,
                        tp_custom_at(name.get(), detail::raw_list(all), type, dims.get(),
                                     { function, o.backward, o.user, o.source.get() },
                                     detail::loc(at)),
                        at);
}

/* ---- parameters and eager values --------------------------------------------------------------
 */

template <class T>
void get_values(const tensor &state, std::span<T> to, place at = place::current())
{
    const detail::home_of &h = detail::home_at(state, at);
    detail::same_type<T>(state, at);
    detail::check(h, tp_get_values(state.get(), to.data(), to.size_bytes()), at);
}
template <class T> std::vector<T> get_values(const tensor &state, place at = place::current())
{
    std::size_t count = 1;
    for (std::int64_t extent : state.shape())
        count *= static_cast<std::size_t>(extent > 0 ? extent : 0);
    std::vector<T> all(count);
    get_values(state, std::span<T>(all), at);
    return all;
}
template <class T>
void set_values(const tensor &state, const std::vector<T> &from, place at = place::current())
{
    const detail::home_of &h = detail::home_at(state, at);
    detail::same_type<T>(state, at);
    detail::check(h, tp_set_values(state.get(), from.data(), from.size() * sizeof(T)), at);
}
inline double tensor::item(place at) const
{
    const double number = tp_item(detail::raw(*this, at));
    detail::check(owner, true, at);
    return number;
}
template <class T> std::span<const T> tensor::values(place at) const
{
    std::size_t bytes = 0;
    const void *data = tp_values(detail::raw(*this, at), &bytes);
    detail::check(owner, data || bytes == 0, at);
    detail::same_type<T>(*this, at);
    return { static_cast<const T *>(data), bytes / sizeof(T) };
}
inline void tensor::print(place at) const
{
    tp_print_at(detail::raw(*this, at), nullptr, detail::loc(at));
    detail::check(owner, true, at);
}
inline void print(const tensor &x, const char *name = "", place at = place::current())
{
    tp_print_at(detail::raw(x, at), name, detail::loc(at));
    detail::check(detail::home_at(x, at), true, at);
}
inline void check(const tensor &ok, const char *message, place at = place::current())
{
    tp_check_at(detail::raw(ok, at), message, detail::loc(at));
    detail::check(detail::home_at(ok, at), true, at);
}
inline void log_value(const tensor &x, const char *name, place at = place::current())
{
    tp_log_value_at(detail::raw(x, at), name, detail::loc(at));
    detail::check(detail::home_at(x, at), true, at);
}
inline void backward(const tensor &loss, place at = place::current())
{
    const detail::home_of &h = detail::home_at(loss, at);
    detail::check(h, tp_backward_at(loss.get(), detail::loc(at)), at);
}
/* Of a parameter, after backward(); nothing where there is none. */
inline std::optional<tensor> gradient(const tensor &parameter, place at = place::current())
{
    const detail::home_of &h = detail::home_at(parameter, at);
    const tp_tensor found = tp_gradient(parameter.get());
    return found.id ? std::optional(tensor(h, found.id)) : std::nullopt;
}

} /* namespace taper */

#endif
