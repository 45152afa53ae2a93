/* Circular 3x3 convolutions of states that move by whole pixels, by Winograd's F(4x4, 3x3).
 *
 * States lie in memory as (velocity, trial, y, x, channel), float, channels in blocks of BLOCK. Height and
 * width are multiples of 4. The output is cut into tiles of 4x4 pixels; the grid of tiles of each velocity has
 * an origin of its own, so that the grid can be attached to the picture that moves (an exact law to the bit).
 * A tile is computed from 6x6 pixels of the input, which are read circularly and displaced by the velocity:
 * neither padding nor moving copies anything.
 *
 *     out = A' [ sum_c (G w_c G') . (B' d_c B) ] A          (Lavin and Gray 2016)
 *
 * at the points 0, P, -P, Q, -Q, infinity: P = 5/8 and Q = 3/2 round half as much as the usual 1 and 2, and all
 * their products below are exact in float.
 *
 * For TILES tiles at a time: B' d B of all channels, 36 matrix products (tile x input) (input x output), A' . A.
 * Scratch is (frequency, block of channels, tile, channel in the block), so that rows lie BLOCK floats apart,
 * whatever the number of channels. Every tile is summed in the same order wherever it stands in its batch.
 */

#include <stddef.h>

/* BLOCK (floats of a vector) and ROWS (tiles of a matrix product that are summed in registers at once, or half as
 * many) are given to the compiler: 16 and 14 with AVX-512, 8 and 12 with AVX2. */
#define MAX_SIDE 1024   /* pixels */
#define P 0.625f
#define Q 1.5f
#define PP (P * P)
#define QQ (Q * Q)
#define INLINE static inline __attribute__((always_inline))

typedef float vec __attribute__((vector_size(4 * BLOCK), aligned(4 * BLOCK)));
typedef float loose __attribute__((vector_size(4 * BLOCK), aligned(4), may_alias)); /* of torch, anywhere */
typedef int whole __attribute__((vector_size(4 * BLOCK)));
typedef ptrdiff_t size;

INLINE vec load(const float *from) { return *(const loose *)from; }
INLINE void store(float *to, vec x) { *(loose *)to = x; }

/* Where tiles lie in the frames of one velocity, in floats from the start of a frame. */
typedef struct {
    size in_row[MAX_SIDE + 2], in_column[MAX_SIDE + 2]; /* of the first of 6 pixels of tile i: entry 4 i */
    size out_row[MAX_SIDE], out_column[MAX_SIDE];       /* of the first of 4 */
} Places;

typedef struct {
    int velocities, trials, height, width, inputs, outputs;
    const int *moves;   /* (velocity, 2): the input moves by (y, x) before it is convolved */
    const int *origins; /* (velocity, 2): a corner of a tile of the output */
} Shape;

typedef struct {
    size trial;
    int row, column; /* first entries of the places */
} Tile;

INLINE int wrapped(int x, int period) { return ((x % period) + period) % period; }

static void along(size *in, size *out, int period, int move, int origin, size in_step, size out_step) {
    for (int i = 0; i < period + 2; i++) in[i] = wrapped(origin + i - 1 - move, period) * in_step;
    for (int i = 0; i < period; i++) out[i] = wrapped(origin + i, period) * out_step;
}

static void place(Places *places, const Shape *shape) {
    along(places->in_row, places->out_row, shape->height, shape->moves[0], shape->origins[0],
          (size)shape->width * shape->inputs, (size)shape->width * shape->outputs);
    along(places->in_column, places->out_column, shape->width, shape->moves[1], shape->origins[1], shape->inputs,
          shape->outputs);
}

/* B' d B of 6x6 pixels, BLOCK channels, into to[frequency * step]. Two rows of frequencies at a time, so that
 * what lies between the two sides of the product stays in registers; pixels are read twice or thrice instead. */
INLINE void rows_of_frequencies(float *to, size step, const vec *x, int row) {
    vec even = x[4] - QQ * x[2], odd = x[3] - QQ * x[1];
    vec even2 = x[4] - PP * x[2], odd2 = x[3] - PP * x[1];
    to += 6 * row * step;
    store(to, PP * QQ * x[0] - (PP + QQ) * x[2] + x[4]);
    store(to + step, even + P * odd);
    store(to + 2 * step, even - P * odd);
    store(to + 3 * step, even2 + Q * odd2);
    store(to + 4 * step, even2 - Q * odd2);
    store(to + 5 * step, PP * QQ * x[1] - (PP + QQ) * x[3] + x[5]);
}

INLINE void input_transform(float *to, size step, const float *frame, const size *row, const size *column) {
    vec x[6], y[6];
    for (int j = 0; j < 6; j++) {
        const float *at = frame + column[j];
        vec even = load(at + row[4]) - QQ * load(at + row[2]), odd = load(at + row[3]) - QQ * load(at + row[1]);
        x[j] = even + P * odd;
        y[j] = even - P * odd;
    }
    rows_of_frequencies(to, step, x, 1);
    rows_of_frequencies(to, step, y, 2);
    for (int j = 0; j < 6; j++) {
        const float *at = frame + column[j];
        vec even = load(at + row[4]) - PP * load(at + row[2]), odd = load(at + row[3]) - PP * load(at + row[1]);
        x[j] = even + Q * odd;
        y[j] = even - Q * odd;
    }
    rows_of_frequencies(to, step, x, 3);
    rows_of_frequencies(to, step, y, 4);
    for (int j = 0; j < 6; j++) {
        const float *at = frame + column[j];
        x[j] = PP * QQ * load(at + row[0]) - (PP + QQ) * load(at + row[2]) + load(at + row[4]);
        y[j] = PP * QQ * load(at + row[1]) - (PP + QQ) * load(at + row[3]) + load(at + row[5]);
    }
    rows_of_frequencies(to, step, x, 0);
    rows_of_frequencies(to, step, y, 5);
}

/* A' m of one row of frequencies. */
INLINE void four_of_six(vec *out, const float *m, size step) {
    vec m1 = load(m + step), m2 = load(m + 2 * step), m3 = load(m + 3 * step), m4 = load(m + 4 * step);
    vec even = m1 + m2, odd = m1 - m2, even2 = m3 + m4, odd2 = m3 - m4;
    out[0] = load(m) + even + even2;
    out[1] = P * odd + Q * odd2;
    out[2] = PP * even + QQ * even2;
    out[3] = load(m + 5 * step) + P * PP * odd + Q * QQ * odd2;
}

/* A' m A: 4x4 pixels from 36 frequencies at from[frequency * step]. */
INLINE void output_transform(vec pixel[4][4], const float *from, size step) {
    vec a[4], b[4];
    four_of_six(a, from + 6 * step, step);
    four_of_six(b, from + 12 * step, step);
    for (int j = 0; j < 4; j++) {
        vec even = a[j] + b[j], odd = a[j] - b[j];
        pixel[0][j] = even;
        pixel[1][j] = P * odd;
        pixel[2][j] = PP * even;
        pixel[3][j] = P * PP * odd;
    }
    four_of_six(a, from + 18 * step, step);
    four_of_six(b, from + 24 * step, step);
    for (int j = 0; j < 4; j++) {
        vec even = a[j] + b[j], odd = a[j] - b[j];
        pixel[0][j] += even;
        pixel[1][j] += Q * odd;
        pixel[2][j] += QQ * even;
        pixel[3][j] += Q * QQ * odd;
    }
    four_of_six(a, from, step);
    four_of_six(b, from + 30 * step, step);
    for (int j = 0; j < 4; j++) {
        pixel[0][j] += a[j];
        pixel[3][j] += b[j];
    }
}

/* m[tile] = sum over inputs of v[tile, input] u[input], of a number of tiles and BLOCK outputs. */
INLINE void product(float *m, const float *v, const float *u, int blocks, size step, const int rows) {
    vec sum[ROWS] = {0};
    for (int block = 0; block < blocks; block++, v += step)
        for (int k = 0; k < BLOCK; k++, u += BLOCK) {
            vec weight = *(const vec *)u;
#pragma GCC unroll 14
            for (int r = 0; r < rows; r++) sum[r] += v[r * BLOCK + k] * weight;
        }
#pragma GCC unroll 14
    for (int r = 0; r < rows; r++) *(vec *)(m + r * BLOCK) = sum[r];
}

/* `tiles` is how many fit into scratch, `now` how many there are; some beyond them are multiplied, too. */
static void products(float *m, const float *v, const float *u, const Shape *shape, int tiles, int now) {
    int in = shape->inputs / BLOCK, out = shape->outputs / BLOCK, row;
    size step = (size)tiles * BLOCK;
    for (int frequency = 0; frequency < 36; frequency++, v += in * step)
        for (int block = 0; block < out; block++, m += step, u += in * BLOCK * BLOCK) {
            for (row = 0; row + ROWS / 2 < now; row += ROWS)
                product(m + row * BLOCK, v + row * BLOCK, u, in, step, ROWS);
            if (row < now) product(m + row * BLOCK, v + row * BLOCK, u, in, step, ROWS / 2);
        }
}

/* A h A' of 4x4 pixels, the transpose of `output_transform`: two rows of frequencies. */
INLINE void six_of_four(float *to, size step, const vec *h) {
    vec even = h[0] + PP * h[2], odd = P * (h[1] + PP * h[3]);
    vec even2 = h[0] + QQ * h[2], odd2 = Q * (h[1] + QQ * h[3]);
    store(to, h[0]);
    store(to + step, even + odd);
    store(to + 2 * step, even - odd);
    store(to + 3 * step, even2 + odd2);
    store(to + 4 * step, even2 - odd2);
    store(to + 5 * step, h[3]);
}

INLINE void gradient_transform(float *to, size step, const float *frame, const size *row, const size *column) {
    vec h[4][4], x[4], y[4];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) h[i][j] = load(frame + row[i] + column[j]);
    six_of_four(to, step, h[0]);
    six_of_four(to + 30 * step, step, h[3]);
    for (int j = 0; j < 4; j++) {
        vec even = h[0][j] + PP * h[2][j], odd = P * (h[1][j] + PP * h[3][j]);
        x[j] = even + odd;
        y[j] = even - odd;
    }
    six_of_four(to + 6 * step, step, x);
    six_of_four(to + 12 * step, step, y);
    for (int j = 0; j < 4; j++) {
        vec even = h[0][j] + QQ * h[2][j], odd = Q * (h[1][j] + QQ * h[3][j]);
        x[j] = even + odd;
        y[j] = even - odd;
    }
    six_of_four(to + 18 * step, step, x);
    six_of_four(to + 24 * step, step, y);
}

/* sums[input, output] += sum over tiles of v[tile, input] h[tile, output], of BLOCK inputs and outputs. */
INLINE void outer_product(float *sums, const float *v, const float *h, int tiles) {
    vec sum[BLOCK] = {0};
    for (int t = 0; t < tiles; t++, v += BLOCK, h += BLOCK) {
        vec x = *(const vec *)h;
#pragma GCC unroll 16
        for (int k = 0; k < BLOCK; k++) sum[k] += v[k] * x;
    }
#pragma GCC unroll 16
    for (int k = 0; k < BLOCK; k++) *(vec *)(sums + k * BLOCK) += sum[k];
}

static void outer_products(float *sums, const float *v, const float *h, const Shape *shape, int tiles, int now) {
    int in = shape->inputs / BLOCK, out = shape->outputs / BLOCK;
    size step = (size)tiles * BLOCK;
    for (int frequency = 0; frequency < 36; frequency++, h += out * step)
        for (int from = 0; from < in; from++, v += step)
            for (int to = 0; to < out; to++, sums += BLOCK * BLOCK) outer_product(sums, v, h + to * step, now);
}

INLINE void next(Tile *tile, const Shape *shape) {
    if ((tile->column += 4) < shape->width) return;
    tile->column = 0;
    if ((tile->row += 4) < shape->height) return;
    tile->row = 0;
    tile->trial++;
}

/* out = activation(kernel * moved in + drive), for one velocity of a shape; and if in is a gradient, and `with` the
 * input of the convolution that it belongs to, sums += (B' in B) (A with A'), the gradient of that one's kernel.
 *
 * out, drive, sums: NULL where they are not wanted. kernel: (frequency, block of outputs, input, output in the block),
 * transformed. sums: (frequency, block of inputs, block of outputs, input in the block, output in the block). These
 * and scratch, 36 * tiles * (inputs + outputs) floats, are aligned to a vector. */
static void convolve(float *out, const float *in, const float *kernel, const float *drive, int relu, float *sums,
                     const float *with, const Shape *shape, int tiles, float *scratch) {
    Places places;
    int ins = shape->inputs / BLOCK, outs = shape->outputs / BLOCK;
    size frame = (size)shape->height * shape->width, count = (size)shape->trials * (frame / 16);
    size in_step = (size)ins * tiles * BLOCK, out_step = (size)outs * tiles * BLOCK;
    float *v = scratch, *m = scratch + 36 * in_step;
    Tile tile = {0, 0, 0}, last = tile;
    place(&places, shape);
    for (size done = 0; done < count; done += tiles) {
        int now = count - done < (size)tiles ? (int)(count - done) : tiles;
        for (int t = 0; t < now; t++, next(&tile, shape)) {
            const float *from = in + tile.trial * frame * shape->inputs;
            for (int block = 0; block < ins; block++)
                input_transform(v + (block * tiles + t) * BLOCK, in_step, from + block * BLOCK,
                                places.in_row + tile.row, places.in_column + tile.column);
        }
        if (out) products(m, v, kernel, shape, tiles, now);
        for (int t = 0; t < now; t++, next(&last, shape)) {
            const size *row = places.out_row + last.row, *column = places.out_column + last.column;
            for (int block = 0; block < outs; block++) {
                size image = last.trial * frame * shape->outputs + block * BLOCK;
                float *own = m + (block * tiles + t) * BLOCK;
                vec pixel[4][4];
                if (out) output_transform(pixel, own, out_step);
                for (int i = 0; out && i < 4; i++)
                    for (int j = 0; j < 4; j++) {
                        size at = image + row[i] + column[j];
                        vec x = pixel[i][j];
                        if (drive) x += load(drive + at);
                        if (relu) x = (vec)(~(x < 0) & (whole)x); /* NaN stays NaN */
                        store(out + at, x);
                    }
                if (sums) gradient_transform(own, out_step, with + image, row, column);
            }
        }
        if (sums) outer_products(sums, v, m, shape, tiles, now);
    }
}

/* The passes over a state that are not convolutions, a row of a frame at a time: what all velocities of a row
 * share stays in the cache. `width * channels` floats make a row. */

typedef short narrow __attribute__((vector_size(2 * BLOCK), aligned(2), may_alias));

INLINE vec chosen(whole mask, vec yes, vec no) { return (vec)((mask & (whole)yes) | (~mask & (whole)no)); }

/* highest = max(highest, moved state), winner = the number of the first velocity to attain it.
 *
 * highest, winner: (trial, y, x, channel); winner is NULL where it is not wanted. first: the number of the first
 * of these velocities; velocity 0 begins. shape->inputs: channels.
 */
void take_maximum(float *highest, short *winner, const float *state, int first, const Shape *shape) {
    int height = shape->height, channels = shape->inputs;
    size line = (size)shape->width * channels;
    for (int trial = 0; trial < shape->trials; trial++)
        for (int y = 0; y < height; y++)
            for (int v = 0; v < shape->velocities; v++) {
                const int *move = shape->moves + 2 * v;
                size to = ((size)trial * height + y) * line;
                size from = (((size)v * shape->trials + trial) * height + wrapped(y - move[0], height)) * line;
                size turn = (size)wrapped(move[1], shape->width) * channels; /* where column 0 of the state goes */
                short number = (short)(first + v);
                for (int part = 0; part < 2; part++) {
                    float *best = highest + to + (part ? 0 : turn);
                    short *who = winner + to + (part ? 0 : turn);
                    const float *at = state + from + (part ? line - turn : 0);
                    size length = part ? turn : line - turn;
                    for (size i = 0; i < length; i += BLOCK) {
                        vec x = load(at + i);
                        if (!number) {
                            store(best + i, x);
                            if (winner) *(narrow *)(who + i) = (narrow){0};
                            continue;
                        }
                        vec old = load(best + i);
                        whole higher = x > old;
                        store(best + i, chosen(higher | (x != x), x, old));
                        if (winner) {
                            narrow mask = __builtin_convertvector(higher, narrow);
                            narrow *own = (narrow *)(who + i);
                            *own = (mask & number) | (~mask & *own);
                        }
                    }
                }
            }
}

/* The gradient of the input of a ReLU: that of its output, and of the maximum where this velocity holds it.
 *
 * output: of the ReLU; NULL where there is none. gradient: of the output, or NULL. to_highest: of the maximum
 * (trial, y, x, channel), or NULL.
 * drive: (trial, y, x, channel), += the sum over velocities; NULL where it is not wanted.
 */
void gradient_inside(float *inner, float *drive, const float *gradient, const float *output, const float *to_highest,
                     const short *winner, int first, const Shape *shape) {
    int height = shape->height, channels = shape->inputs;
    size line = (size)shape->width * channels;
    for (int trial = 0; trial < shape->trials; trial++)
        for (int y = 0; y < height; y++)
            for (int v = 0; v < shape->velocities; v++) {
                const int *move = shape->moves + 2 * v;
                size sum = ((size)trial * height + y) * line;
                size own = (((size)v * shape->trials + trial) * height + y) * line;
                size high = ((size)trial * height + wrapped(y + move[0], height)) * line;
                size turn = (size)wrapped(move[1], shape->width) * channels;
                short number = (short)(first + v);
                for (int part = 0; part < 2; part++) {
                    size shift = part ? line - turn : 0, there = high + (part ? 0 : turn);
                    size length = part ? turn : line - turn;
                    for (size i = 0; i < length; i += BLOCK) {
                        vec x = gradient ? load(gradient + own + shift + i) : (vec){0};
                        if (to_highest) {
                            narrow mask = *(const narrow *)(winner + there + i) == number;
                            x += (vec)(__builtin_convertvector(mask, whole) & (whole)load(to_highest + there + i));
                        }
                        if (output) x = (vec)(~(load(output + own + shift + i) <= 0) & (whole)x);
                        store(inner + own + shift + i, x);
                        if (drive) store(drive + sum + shift + i, load(drive + sum + shift + i) + x);
                    }
                }
            }
}

/* A step and what it hands back: few trials (`chunk`) and one velocity at a time, so that what a pass writes is in
 * the cache when the next one reads it. Trials are independent, and threads share them out, each with `room` floats
 * of scratch and with sums of its own. They are the threads of torch, which are ready between two of its operations:
 * others would have to wait for them. */

static Shape part_of(const Shape *shape, int velocity, int trials) {
    Shape part = *shape;
    part.velocities = 1;
    part.trials = trials;
    part.moves = shape->moves + 2 * velocity;
    if (shape->origins) part.origins = shape->origins + 2 * velocity;
    return part;
}

/* State after, and its moved maximum unless highest is NULL. */
void step(float *after, float *highest, short *winner, const float *state, const float *kernel, const float *drive,
          int drives, int number, const Shape *shape, int threads, int chunk, int tiles, float *scratch,
          size room) {
    size in = (size)shape->height * shape->width * shape->inputs;
    size out = (size)shape->height * shape->width * shape->outputs;
#pragma omp parallel for num_threads(threads)
    for (int thread = 0; thread < threads; thread++) {
        float *own = scratch + thread * room;
        int from = shape->trials * thread / threads, to = shape->trials * (thread + 1) / threads;
        for (int trial = from; trial < to; trial += chunk)
            for (int v = 0; v < shape->velocities; v++) {
                Shape part = part_of(shape, v, to - trial < chunk ? to - trial : chunk);
                size image = (size)v * shape->trials + trial;
                convolve(after + image * out, state + image * in, kernel,
                         drive + (drives == 1 ? trial : image) * out, 1, NULL, NULL, &part, tiles, own);
                part.inputs = shape->outputs;
                if (highest)
                    take_maximum(highest + trial * out, winner ? winner + trial * out : NULL, after + image * out,
                                 number + v, &part);
            }
    }
}

/* What that hands back. moves: those of the step. inner: the gradient before the ReLU, for all
 * velocities and trials, or NULL where drive is enough; it is then kept in scratch. */
void step_back(float *to_state, float *sums, float *drive, float *inner, const float *gradient,
               const float *to_highest, const short *winner, const float *output, const float *state,
               const float *kernel, int number, const Shape *shape, int threads, int chunk, int tiles, float *scratch,
               size room) {
    size in = (size)shape->height * shape->width * shape->inputs;
    size out = (size)shape->height * shape->width * shape->outputs;
    size of_kernel = (size)36 * shape->inputs * shape->outputs;
#pragma omp parallel for num_threads(threads)
    for (int thread = 0; thread < threads; thread++) {
        float *own = scratch + thread * room;
        int from = shape->trials * thread / threads, to = shape->trials * (thread + 1) / threads;
        for (int trial = from; trial < to; trial += chunk)
            for (int v = 0; v < shape->velocities; v++) {
                Shape part = part_of(shape, v, to - trial < chunk ? to - trial : chunk);
                size image = (size)v * shape->trials + trial;
                float *before_relu = inner ? inner + image * in : own;
                gradient_inside(before_relu, drive ? drive + trial * in : NULL, gradient ? gradient + image * in : NULL,
                                output + image * in, to_highest ? to_highest + trial * in : NULL,
                                winner + trial * in, number + v, &part);
                int back[2] = {-part.moves[0], -part.moves[1]};
                part.moves = back;
                convolve(to_state ? to_state + image * out : NULL, before_relu, kernel, NULL, 0,
                         sums ? sums + thread * of_kernel : NULL, state + image * out, &part, tiles,
                         own + chunk * in);
            }
    }
}

/* The GRU: h' = z h + (1 - z) n with z, r = sigmoid(W * h + drive), n = tanh(W_n * (r h) + drive_n), h moved first.
 * Gates lie as (y, x, gate z or r, channel). */

INLINE vec bounded(vec x, float low, float high) { /* NaN stays NaN */
    vec bottom = (vec){0} + low, top = (vec){0} + high;
    return chosen(x < bottom, bottom, chosen(x > top, top, x));
}

/* Moshier (Cephes), expf and tanhf. */
INLINE vec exponential(vec x) {
    x = bounded(x, -87.0f, 88.0f);
    vec twos = (x * 1.44269504f + 12582912.0f) - 12582912.0f; /* to the nearest whole number */
    vec rest = x - twos * 0.693359375f + twos * 2.12194440e-4f;
    vec sum = ((((1.9875691500e-4f * rest + 1.3981999507e-3f) * rest + 8.3334519073e-3f) * rest + 4.1665795894e-2f) *
               rest + 1.6666665459e-1f) * rest + 5.0000001201e-1f;
    return (sum * rest * rest + rest + 1.0f) * (vec)((__builtin_convertvector(twos, whole) + 127) << 23);
}

INLINE vec sigmoid(vec x) { return 1.0f / (1.0f + exponential(-x)); }

INLINE vec hyperbolic_tangent(vec x) {
    vec size = chosen(x < 0, -x, x), square = x * x;
    vec large = 1.0f - 2.0f / (1.0f + exponential(size + size));
    vec small = ((((-5.70498872745e-3f * square + 2.06390887954e-2f) * square - 5.37397155531e-2f) * square +
                  1.33314422036e-1f) * square - 3.33332819422e-1f) * square * x + x;
    return chosen(size < 0.625f, small, chosen(x < 0, -large, large));
}

/* to = moved from, or to += moved from: frames of shape->inputs channels. */
INLINE void moved(float *to, const float *from, const Shape *shape, const int *move, int adds) {
    int height = shape->height, channels = shape->inputs;
    size line = (size)shape->width * channels, turn = (size)wrapped(move[1], shape->width) * channels;
    for (int trial = 0; trial < shape->trials; trial++)
        for (int y = 0; y < height; y++, to += line) {
            const float *row = from + ((size)trial * height + wrapped(y - move[0], height)) * line;
            for (int part = 0; part < 2; part++) {
                float *into = to + (part ? 0 : turn);
                const float *at = row + (part ? line - turn : 0);
                size length = part ? turn : line - turn;
                for (size i = 0; i < length; i += BLOCK)
                    store(into + i, adds ? load(into + i) + load(at + i) : load(at + i));
            }
        }
}

/* The state after, and its moved maximum unless highest is NULL.
 *
 * gates (velocity, trial, y, x, gate, channel) and candidate: what a step back needs. kernels: of z and r together,
 * and of n. drives: for z and r, and for n, (velocity or 1, trial, y, x, .). scratch: besides that of a convolution,
 * two states of `chunk` trials. */
void gru_step(float *after, float *gates, float *candidate, float *highest, short *winner, const float *state,
              const float *kernel_of_gates, const float *kernel, const float *drive_of_gates, const float *drive,
              int drives, int number, const Shape *shape, int threads, int chunk, int tiles, float *scratch,
              size room) {
    const int rest[2] = {0, 0};
    int channels = shape->inputs;
    size frame = (size)shape->height * shape->width * channels;
#pragma omp parallel for num_threads(threads)
    for (int thread = 0; thread < threads; thread++) {
        float *before = scratch + thread * room, *reset = before + chunk * frame, *own = reset + chunk * frame;
        int from = shape->trials * thread / threads, to = shape->trials * (thread + 1) / threads;
        for (int trial = from; trial < to; trial += chunk)
            for (int v = 0; v < shape->velocities; v++) {
                Shape part = part_of(shape, v, to - trial < chunk ? to - trial : chunk), of_gates = part;
                size image = ((size)v * shape->trials + trial) * frame, driven = drives == 1 ? trial * frame : image;
                float *z = gates + 2 * image, *n = candidate + image, *h = after + image;
                of_gates.outputs = 2 * channels;
                convolve(z, state + image, kernel_of_gates, drive_of_gates + 2 * driven, 0, NULL, NULL, &of_gates,
                         tiles, own);
                moved(before, state + image, &part, part.moves, 0);
                size pixels = part.trials * frame / channels;
                for (size i = 0; i < pixels; i++)
                    for (int c = 0; c < channels; c += BLOCK) {
                        size at = i * channels + c, gate = at + i * channels;
                        vec r = sigmoid(load(z + gate + channels));
                        store(z + gate, sigmoid(load(z + gate)));
                        store(z + gate + channels, r);
                        store(reset + at, r * load(before + at));
                    }
                part.moves = rest;
                convolve(n, reset, kernel, drive + driven, 0, NULL, NULL, &part, tiles, own);
                for (size i = 0; i < pixels; i++)
                    for (int c = 0; c < channels; c += BLOCK) {
                        size at = i * channels + c;
                        vec new = hyperbolic_tangent(load(n + at));
                        store(n + at, new);
                        store(h + at, new + load(z + at + i * channels) * (load(before + at) - new));
                    }
                part.moves = shape->moves + 2 * v;
                if (highest)
                    take_maximum(highest + trial * frame, winner ? winner + trial * frame : NULL, h, number + v, &part);
            }
    }
}

/* What that hands back. kernels: of the adjoints. to_drive and to_drive_of_gates: += the gradients of the inputs of the
 * non-linearities, summed over velocities where `drives` is 1. scratch: besides that of a convolution, seven states of
 * `chunk` trials. */
void gru_step_back(float *to_state, float *sums_of_gates, float *sums, float *to_drive_of_gates, float *to_drive,
                   const float *gradient, const float *to_highest, const short *winner, const float *gates,
                   const float *candidate, const float *state, const float *kernel_of_gates, const float *kernel,
                   int drives, int number, const Shape *shape, int threads, int chunk, int tiles,
                   float *scratch, size room) {
    const int rest[2] = {0, 0};
    int channels = shape->inputs;
    size frame = (size)shape->height * shape->width * channels, some = chunk * frame;
    size of_kernel = (size)36 * channels * channels;
#pragma omp parallel for num_threads(threads)
    for (int thread = 0; thread < threads; thread++) {
        float *before = scratch + thread * room, *reset = before + some, *to_h = reset + some, *to_n = to_h + some;
        float *to_reset = to_n + some, *to_gates = to_reset + some, *own = to_gates + 2 * some;
        float *sum = sums + thread * of_kernel, *sum_of_gates = sums_of_gates + thread * 2 * of_kernel;
        int from = shape->trials * thread / threads, to = shape->trials * (thread + 1) / threads;
        for (int trial = from; trial < to; trial += chunk)
            for (int v = 0; v < shape->velocities; v++) {
                Shape part = part_of(shape, v, to - trial < chunk ? to - trial : chunk), of_gates = part;
                size image = ((size)v * shape->trials + trial) * frame, driven = drives == 1 ? trial * frame : image;
                const float *z = gates + 2 * image, *n = candidate + image;
                float *of_drive = to_drive + driven, *of_drive_of_gates = to_drive_of_gates + 2 * driven;
                gradient_inside(to_h, NULL, gradient ? gradient + image : NULL, NULL,
                                to_highest ? to_highest + trial * frame : NULL, winner + trial * frame, number + v,
                                &part);
                moved(before, state + image, &part, part.moves, 0);
                size pixels = part.trials * frame / channels;
                for (size i = 0; i < pixels; i++)
                    for (int c = 0; c < channels; c += BLOCK) {
                        size at = i * channels + c, gate = at + i * channels;
                        vec keep = load(z + gate), new = load(n + at), h = load(before + at), g = load(to_h + at);
                        vec to_new = g * (1.0f - keep) * (1.0f - new * new);
                        vec to_keep = g * (h - new) * keep * (1.0f - keep);
                        store(to_n + at, to_new);
                        store(to_gates + gate, to_keep);
                        store(to_h + at, g * keep);
                        store(reset + at, load(z + gate + channels) * h);
                        store(of_drive + at, load(of_drive + at) + to_new);
                        store(of_drive_of_gates + gate, load(of_drive_of_gates + gate) + to_keep);
                    }
                part.moves = rest;
                convolve(to_reset, to_n, kernel, NULL, 0, sum, reset, &part, tiles, own);
                for (size i = 0; i < pixels; i++)
                    for (int c = 0; c < channels; c += BLOCK) {
                        size at = i * channels + c, gate = at + i * channels + channels;
                        vec r = load(z + gate), h = load(before + at), g = load(to_reset + at);
                        vec of_gate = g * h * r * (1.0f - r);
                        store(to_gates + gate, of_gate);
                        store(to_h + at, load(to_h + at) + g * r);
                        store(of_drive_of_gates + gate, load(of_drive_of_gates + gate) + of_gate);
                    }
                int back[2] = {-shape->moves[2 * v], -shape->moves[2 * v + 1]};
                of_gates.inputs = 2 * channels;
                of_gates.moves = back;
                convolve(to_state + image, to_gates, kernel_of_gates, NULL, 0, sum_of_gates, state + image, &of_gates,
                         tiles, own);
                part.moves = back;
                moved(to_state + image, to_h, &part, back, 1);
            }
    }
}
