package dev.heddle.simulated.simt;

/**
 * Loops over the lanes of a warp, one class for each shape of operands; {@link LoopCopies} copies
 * them for each instruction. {@code d} is where the result's row begins, {@code a}, {@code b}, ...
 * where the sources' do.
 */
final class Loops {
  private Loops() {}

  /** A b32 of a b32. */
  interface IntFunction {
    int apply(int a);
  }

  /** See {@link IntFunction}. */
  static final class IntLoop extends Step {
    private final IntFunction f;
    private final int d;
    private final int a;

    IntLoop(IntFunction f, int d, int a) {
      this.f = f;
      this.d = d;
      this.a = a;
    }

    @Override
    void run(Warp warp, int mask) {
      IntFunction f = this.f;
      int d = this.d;
      int a = this.a;
      int[] narrow = warp.narrow;
      if (mask == ALL) {
        for (int i = 0; i < LANES; i++) {
          narrow[d + i] = f.apply(narrow[a + i]);
        }
      } else {
        for (int rest = mask; rest != 0; rest &= rest - 1) {
          int i = Integer.numberOfTrailingZeros(rest);
          narrow[d + i] = f.apply(narrow[a + i]);
        }
      }
    }
  }

  /** A b32 of two b32. */
  interface IntIntFunction {
    int apply(int a, int b);
  }

  /** See {@link IntIntFunction}. */
  static final class IntIntLoop extends Step {
    private final IntIntFunction f;
    private final int d;
    private final int a;
    private final int b;

    IntIntLoop(IntIntFunction f, int d, int a, int b) {
      this.f = f;
      this.d = d;
      this.a = a;
      this.b = b;
    }

    @Override
    void run(Warp warp, int mask) {
      IntIntFunction f = this.f;
      int d = this.d;
      int a = this.a;
      int b = this.b;
      int[] narrow = warp.narrow;
      if (mask == ALL) {
        for (int i = 0; i < LANES; i++) {
          narrow[d + i] = f.apply(narrow[a + i], narrow[b + i]);
        }
      } else {
        for (int rest = mask; rest != 0; rest &= rest - 1) {
          int i = Integer.numberOfTrailingZeros(rest);
          narrow[d + i] = f.apply(narrow[a + i], narrow[b + i]);
        }
      }
    }
  }

  /** A b32 of three b32. */
  interface IntIntIntFunction {
    int apply(int a, int b, int c);
  }

  /** See {@link IntIntIntFunction}. */
  static final class IntIntIntLoop extends Step {
    private final IntIntIntFunction f;
    private final int d;
    private final int a;
    private final int b;
    private final int c;

    IntIntIntLoop(IntIntIntFunction f, int d, int a, int b, int c) {
      this.f = f;
      this.d = d;
      this.a = a;
      this.b = b;
      this.c = c;
    }

    @Override
    void run(Warp warp, int mask) {
      IntIntIntFunction f = this.f;
      int d = this.d;
      int a = this.a;
      int b = this.b;
      int c = this.c;
      int[] narrow = warp.narrow;
      if (mask == ALL) {
        for (int i = 0; i < LANES; i++) {
          narrow[d + i] = f.apply(narrow[a + i], narrow[b + i], narrow[c + i]);
        }
      } else {
        for (int rest = mask; rest != 0; rest &= rest - 1) {
          int i = Integer.numberOfTrailingZeros(rest);
          narrow[d + i] = f.apply(narrow[a + i], narrow[b + i], narrow[c + i]);
        }
      }
    }
  }

  /** A b64 of a b64. */
  interface LongFunction {
    long apply(long a);
  }

  /** See {@link LongFunction}. */
  static final class LongLoop extends Step {
    private final LongFunction f;
    private final int d;
    private final int a;

    LongLoop(LongFunction f, int d, int a) {
      this.f = f;
      this.d = d;
      this.a = a;
    }

    @Override
    void run(Warp warp, int mask) {
      LongFunction f = this.f;
      int d = this.d;
      int a = this.a;
      long[] wide = warp.wide;
      if (mask == ALL) {
        for (int i = 0; i < LANES; i++) {
          wide[d + i] = f.apply(wide[a + i]);
        }
      } else {
        for (int rest = mask; rest != 0; rest &= rest - 1) {
          int i = Integer.numberOfTrailingZeros(rest);
          wide[d + i] = f.apply(wide[a + i]);
        }
      }
    }
  }

  /** A b64 of two b64. */
  interface LongLongFunction {
    long apply(long a, long b);
  }

  /** See {@link LongLongFunction}. */
  static final class LongLongLoop extends Step {
    private final LongLongFunction f;
    private final int d;
    private final int a;
    private final int b;

    LongLongLoop(LongLongFunction f, int d, int a, int b) {
      this.f = f;
      this.d = d;
      this.a = a;
      this.b = b;
    }

    @Override
    void run(Warp warp, int mask) {
      LongLongFunction f = this.f;
      int d = this.d;
      int a = this.a;
      int b = this.b;
      long[] wide = warp.wide;
      if (mask == ALL) {
        for (int i = 0; i < LANES; i++) {
          wide[d + i] = f.apply(wide[a + i], wide[b + i]);
        }
      } else {
        for (int rest = mask; rest != 0; rest &= rest - 1) {
          int i = Integer.numberOfTrailingZeros(rest);
          wide[d + i] = f.apply(wide[a + i], wide[b + i]);
        }
      }
    }
  }

  /** A b64 of three b64. */
  interface LongLongLongFunction {
    long apply(long a, long b, long c);
  }

  /** See {@link LongLongLongFunction}. */
  static final class LongLongLongLoop extends Step {
    private final LongLongLongFunction f;
    private final int d;
    private final int a;
    private final int b;
    private final int c;

    LongLongLongLoop(LongLongLongFunction f, int d, int a, int b, int c) {
      this.f = f;
      this.d = d;
      this.a = a;
      this.b = b;
      this.c = c;
    }

    @Override
    void run(Warp warp, int mask) {
      LongLongLongFunction f = this.f;
      int d = this.d;
      int a = this.a;
      int b = this.b;
      int c = this.c;
      long[] wide = warp.wide;
      if (mask == ALL) {
        for (int i = 0; i < LANES; i++) {
          wide[d + i] = f.apply(wide[a + i], wide[b + i], wide[c + i]);
        }
      } else {
        for (int rest = mask; rest != 0; rest &= rest - 1) {
          int i = Integer.numberOfTrailingZeros(rest);
          wide[d + i] = f.apply(wide[a + i], wide[b + i], wide[c + i]);
        }
      }
    }
  }

  /** A b64 of a b32. */
  interface IntToLongFunction {
    long apply(int a);
  }

  /** See {@link IntToLongFunction}. */
  static final class IntToLongLoop extends Step {
    private final IntToLongFunction f;
    private final int d;
    private final int a;

    IntToLongLoop(IntToLongFunction f, int d, int a) {
      this.f = f;
      this.d = d;
      this.a = a;
    }

    @Override
    void run(Warp warp, int mask) {
      IntToLongFunction f = this.f;
      int d = this.d;
      int a = this.a;
      int[] narrow = warp.narrow;
      long[] wide = warp.wide;
      if (mask == ALL) {
        for (int i = 0; i < LANES; i++) {
          wide[d + i] = f.apply(narrow[a + i]);
        }
      } else {
        for (int rest = mask; rest != 0; rest &= rest - 1) {
          int i = Integer.numberOfTrailingZeros(rest);
          wide[d + i] = f.apply(narrow[a + i]);
        }
      }
    }
  }

  /** A b32 of a b64. */
  interface LongToIntFunction {
    int apply(long a);
  }

  /** See {@link LongToIntFunction}. */
  static final class LongToIntLoop extends Step {
    private final LongToIntFunction f;
    private final int d;
    private final int a;

    LongToIntLoop(LongToIntFunction f, int d, int a) {
      this.f = f;
      this.d = d;
      this.a = a;
    }

    @Override
    void run(Warp warp, int mask) {
      LongToIntFunction f = this.f;
      int d = this.d;
      int a = this.a;
      int[] narrow = warp.narrow;
      long[] wide = warp.wide;
      if (mask == ALL) {
        for (int i = 0; i < LANES; i++) {
          narrow[d + i] = f.apply(wide[a + i]);
        }
      } else {
        for (int rest = mask; rest != 0; rest &= rest - 1) {
          int i = Integer.numberOfTrailingZeros(rest);
          narrow[d + i] = f.apply(wide[a + i]);
        }
      }
    }
  }

  /** A b64 of two b32. */
  interface IntIntToLongFunction {
    long apply(int a, int b);
  }

  /** See {@link IntIntToLongFunction}. */
  static final class IntIntToLongLoop extends Step {
    private final IntIntToLongFunction f;
    private final int d;
    private final int a;
    private final int b;

    IntIntToLongLoop(IntIntToLongFunction f, int d, int a, int b) {
      this.f = f;
      this.d = d;
      this.a = a;
      this.b = b;
    }

    @Override
    void run(Warp warp, int mask) {
      IntIntToLongFunction f = this.f;
      int d = this.d;
      int a = this.a;
      int b = this.b;
      int[] narrow = warp.narrow;
      long[] wide = warp.wide;
      if (mask == ALL) {
        for (int i = 0; i < LANES; i++) {
          wide[d + i] = f.apply(narrow[a + i], narrow[b + i]);
        }
      } else {
        for (int rest = mask; rest != 0; rest &= rest - 1) {
          int i = Integer.numberOfTrailingZeros(rest);
          wide[d + i] = f.apply(narrow[a + i], narrow[b + i]);
        }
      }
    }
  }

  /** A b64 of two b32 and a b64. */
  interface IntIntLongToLongFunction {
    long apply(int a, int b, long c);
  }

  /** See {@link IntIntLongToLongFunction}. */
  static final class IntIntLongToLongLoop extends Step {
    private final IntIntLongToLongFunction f;
    private final int d;
    private final int a;
    private final int b;
    private final int c;

    IntIntLongToLongLoop(IntIntLongToLongFunction f, int d, int a, int b, int c) {
      this.f = f;
      this.d = d;
      this.a = a;
      this.b = b;
      this.c = c;
    }

    @Override
    void run(Warp warp, int mask) {
      IntIntLongToLongFunction f = this.f;
      int d = this.d;
      int a = this.a;
      int b = this.b;
      int c = this.c;
      int[] narrow = warp.narrow;
      long[] wide = warp.wide;
      if (mask == ALL) {
        for (int i = 0; i < LANES; i++) {
          wide[d + i] = f.apply(narrow[a + i], narrow[b + i], wide[c + i]);
        }
      } else {
        for (int rest = mask; rest != 0; rest &= rest - 1) {
          int i = Integer.numberOfTrailingZeros(rest);
          wide[d + i] = f.apply(narrow[a + i], narrow[b + i], wide[c + i]);
        }
      }
    }
  }

  /** A b64 of a b64 and a b32. */
  interface LongIntToLongFunction {
    long apply(long a, int b);
  }

  /** See {@link LongIntToLongFunction}. */
  static final class LongIntToLongLoop extends Step {
    private final LongIntToLongFunction f;
    private final int d;
    private final int a;
    private final int b;

    LongIntToLongLoop(LongIntToLongFunction f, int d, int a, int b) {
      this.f = f;
      this.d = d;
      this.a = a;
      this.b = b;
    }

    @Override
    void run(Warp warp, int mask) {
      LongIntToLongFunction f = this.f;
      int d = this.d;
      int a = this.a;
      int b = this.b;
      int[] narrow = warp.narrow;
      long[] wide = warp.wide;
      if (mask == ALL) {
        for (int i = 0; i < LANES; i++) {
          wide[d + i] = f.apply(wide[a + i], narrow[b + i]);
        }
      } else {
        for (int rest = mask; rest != 0; rest &= rest - 1) {
          int i = Integer.numberOfTrailingZeros(rest);
          wide[d + i] = f.apply(wide[a + i], narrow[b + i]);
        }
      }
    }
  }

  /** A b64 of a b64 and two b32. */
  interface LongIntIntToLongFunction {
    long apply(long a, int b, int c);
  }

  /** See {@link LongIntIntToLongFunction}. */
  static final class LongIntIntToLongLoop extends Step {
    private final LongIntIntToLongFunction f;
    private final int d;
    private final int a;
    private final int b;
    private final int c;

    LongIntIntToLongLoop(LongIntIntToLongFunction f, int d, int a, int b, int c) {
      this.f = f;
      this.d = d;
      this.a = a;
      this.b = b;
      this.c = c;
    }

    @Override
    void run(Warp warp, int mask) {
      LongIntIntToLongFunction f = this.f;
      int d = this.d;
      int a = this.a;
      int b = this.b;
      int c = this.c;
      int[] narrow = warp.narrow;
      long[] wide = warp.wide;
      if (mask == ALL) {
        for (int i = 0; i < LANES; i++) {
          wide[d + i] = f.apply(wide[a + i], narrow[b + i], narrow[c + i]);
        }
      } else {
        for (int rest = mask; rest != 0; rest &= rest - 1) {
          int i = Integer.numberOfTrailingZeros(rest);
          wide[d + i] = f.apply(wide[a + i], narrow[b + i], narrow[c + i]);
        }
      }
    }
  }

  /** A b64 of two b64 and two b32. */
  interface LongLongIntIntToLongFunction {
    long apply(long a, long b, int c, int e);
  }

  /** See {@link LongLongIntIntToLongFunction}. */
  static final class LongLongIntIntToLongLoop extends Step {
    private final LongLongIntIntToLongFunction f;
    private final int d;
    private final int a;
    private final int b;
    private final int c;
    private final int e;

    LongLongIntIntToLongLoop(LongLongIntIntToLongFunction f, int d, int a, int b, int c, int e) {
      this.f = f;
      this.d = d;
      this.a = a;
      this.b = b;
      this.c = c;
      this.e = e;
    }

    @Override
    void run(Warp warp, int mask) {
      LongLongIntIntToLongFunction f = this.f;
      int d = this.d;
      int a = this.a;
      int b = this.b;
      int c = this.c;
      int e = this.e;
      int[] narrow = warp.narrow;
      long[] wide = warp.wide;
      if (mask == ALL) {
        for (int i = 0; i < LANES; i++) {
          wide[d + i] = f.apply(wide[a + i], wide[b + i], narrow[c + i], narrow[e + i]);
        }
      } else {
        for (int rest = mask; rest != 0; rest &= rest - 1) {
          int i = Integer.numberOfTrailingZeros(rest);
          wide[d + i] = f.apply(wide[a + i], wide[b + i], narrow[c + i], narrow[e + i]);
        }
      }
    }
  }

  /** A b32 of four b32. */
  interface IntIntIntIntToIntFunction {
    int apply(int a, int b, int c, int e);
  }

  /** See {@link IntIntIntIntToIntFunction}. */
  static final class IntIntIntIntToIntLoop extends Step {
    private final IntIntIntIntToIntFunction f;
    private final int d;
    private final int a;
    private final int b;
    private final int c;
    private final int e;

    IntIntIntIntToIntLoop(IntIntIntIntToIntFunction f, int d, int a, int b, int c, int e) {
      this.f = f;
      this.d = d;
      this.a = a;
      this.b = b;
      this.c = c;
      this.e = e;
    }

    @Override
    void run(Warp warp, int mask) {
      IntIntIntIntToIntFunction f = this.f;
      int d = this.d;
      int a = this.a;
      int b = this.b;
      int c = this.c;
      int e = this.e;
      int[] narrow = warp.narrow;
      if (mask == ALL) {
        for (int i = 0; i < LANES; i++) {
          narrow[d + i] = f.apply(narrow[a + i], narrow[b + i], narrow[c + i], narrow[e + i]);
        }
      } else {
        for (int rest = mask; rest != 0; rest &= rest - 1) {
          int i = Integer.numberOfTrailingZeros(rest);
          narrow[d + i] = f.apply(narrow[a + i], narrow[b + i], narrow[c + i], narrow[e + i]);
        }
      }
    }
  }

  /** A b32 of two b64. */
  interface LongLongToIntFunction {
    int apply(long a, long b);
  }

  /** See {@link LongLongToIntFunction}. */
  static final class LongLongToIntLoop extends Step {
    private final LongLongToIntFunction f;
    private final int d;
    private final int a;
    private final int b;

    LongLongToIntLoop(LongLongToIntFunction f, int d, int a, int b) {
      this.f = f;
      this.d = d;
      this.a = a;
      this.b = b;
    }

    @Override
    void run(Warp warp, int mask) {
      LongLongToIntFunction f = this.f;
      int d = this.d;
      int a = this.a;
      int b = this.b;
      int[] narrow = warp.narrow;
      long[] wide = warp.wide;
      if (mask == ALL) {
        for (int i = 0; i < LANES; i++) {
          narrow[d + i] = f.apply(wide[a + i], wide[b + i]);
        }
      } else {
        for (int rest = mask; rest != 0; rest &= rest - 1) {
          int i = Integer.numberOfTrailingZeros(rest);
          narrow[d + i] = f.apply(wide[a + i], wide[b + i]);
        }
      }
    }
  }
}
