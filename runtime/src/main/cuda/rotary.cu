// Rotary position embedding, half-split form.
#include "heads.cuh"

// Pairs (x[d], x[d + half]) are rotated by the angle of position and d; direction is -1 to rotate
// back. One thread a pair; n = batches positions heads half, cut by the host to fit 31 bits. y may
// be x.
ENTRY KERNEL(heddle_rotary)(int n, int positions, int heads, int half, const Real* x,
                            HeadStrides from, const Sum* cosines, const Sum* sines, Sum direction,
                            Real* y, HeadStrides to) {
#pragma unroll 1
  for (int64 i = globalThread(); i < n; i += globalThreads()) {
    unsigned rest = static_cast<unsigned>(i);
    unsigned d = rest % half;
    rest /= half;
    unsigned head = rest % heads;
    rest /= heads;
    unsigned position = rest % positions;
    unsigned batch = rest / positions;
    const Real* source = x + batch * from.batch + position * from.position + head * from.head + d;
    Real* target = y + batch * to.batch + position * to.position + head * to.head + d;
    Sum c = cosines[position * static_cast<int64>(half) + d];
    Sum s = direction * sines[position * static_cast<int64>(half) + d];
    Sum first = widen(source[0]);
    Sum second = widen(source[half]);
    target[0] = narrow(first * c - second * s);
    target[half] = narrow(second * c + first * s);
  }
}
