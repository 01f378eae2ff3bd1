package dev.heddle.simulated.simt;

/**
 * Loops over lanes that make or use predicates. A predicate register is one {@code int}, a bit a
 * lane.
 */
final class PredicateLoops {
  private PredicateLoops() {}

  /** What becomes of a comparison's outcome and a predicate: of bits, 32 at a time. */
  interface Combination {
    int apply(int compared, int other);
  }

  /** A comparison. */
  interface IntComparison {
    boolean apply(int a, int b);
  }

  /**
   * {@code setp}: {@code p = combine(compare(a, b), c)}, {@code q = combine(!compare(a, b), c)}.
   */
  static final class IntCompareLoop extends Step {
    private final IntComparison f;
    private final int a;
    private final int b;
    private final int p;
    private final int q;
    private final Combination combination;
    private final int c;
    private final boolean negated;

    IntCompareLoop(
        IntComparison f,
        int a,
        int b,
        int p,
        int q,
        Combination combination,
        int c,
        boolean negated) {
      this.f = f;
      this.a = a;
      this.b = b;
      this.p = p;
      this.q = q;
      this.combination = combination;
      this.c = c;
      this.negated = negated;
    }

    @Override
    void run(Warp warp, int mask) {
      IntComparison f = this.f;
      int a = this.a;
      int b = this.b;
      int[] narrow = warp.narrow;
      int bits = 0;
      if (mask == ALL) {
        for (int i = 0; i < LANES; i++) {
          bits |= f.apply(narrow[a + i], narrow[b + i]) ? 1 << i : 0;
        }
      } else {
        for (int rest = mask; rest != 0; rest &= rest - 1) {
          int i = Integer.numberOfTrailingZeros(rest);
          bits |= f.apply(narrow[a + i], narrow[b + i]) ? 1 << i : 0;
        }
      }
      int other = warp.predicates[c];
      other = negated ? ~other : other;
      warp.setPredicate(p, mask, combination.apply(bits, other));
      warp.setPredicate(q, mask, combination.apply(~bits, other));
    }
  }

  /** {@code selp}: {@code d = c ? a : b}. */
  static final class IntSelectLoop extends Step {
    private final int d;
    private final int a;
    private final int b;
    private final int c;
    private final boolean negated;

    IntSelectLoop(int d, int a, int b, int c, boolean negated) {
      this.d = d;
      this.a = a;
      this.b = b;
      this.c = c;
      this.negated = negated;
    }

    @Override
    void run(Warp warp, int mask) {
      int chosen = negated ? ~warp.predicates[c] : warp.predicates[c];
      int[] narrow = warp.narrow;
      for (int rest = mask; rest != 0; rest &= rest - 1) {
        int i = Integer.numberOfTrailingZeros(rest);
        narrow[d + i] = narrow[(((chosen >>> i) & 1) != 0 ? a : b) + i];
      }
    }
  }

  /** A comparison. */
  interface LongComparison {
    boolean apply(long a, long b);
  }

  /**
   * {@code setp}: {@code p = combine(compare(a, b), c)}, {@code q = combine(!compare(a, b), c)}.
   */
  static final class LongCompareLoop extends Step {
    private final LongComparison f;
    private final int a;
    private final int b;
    private final int p;
    private final int q;
    private final Combination combination;
    private final int c;
    private final boolean negated;

    LongCompareLoop(
        LongComparison f,
        int a,
        int b,
        int p,
        int q,
        Combination combination,
        int c,
        boolean negated) {
      this.f = f;
      this.a = a;
      this.b = b;
      this.p = p;
      this.q = q;
      this.combination = combination;
      this.c = c;
      this.negated = negated;
    }

    @Override
    void run(Warp warp, int mask) {
      LongComparison f = this.f;
      int a = this.a;
      int b = this.b;
      long[] wide = warp.wide;
      int bits = 0;
      if (mask == ALL) {
        for (int i = 0; i < LANES; i++) {
          bits |= f.apply(wide[a + i], wide[b + i]) ? 1 << i : 0;
        }
      } else {
        for (int rest = mask; rest != 0; rest &= rest - 1) {
          int i = Integer.numberOfTrailingZeros(rest);
          bits |= f.apply(wide[a + i], wide[b + i]) ? 1 << i : 0;
        }
      }
      int other = warp.predicates[c];
      other = negated ? ~other : other;
      warp.setPredicate(p, mask, combination.apply(bits, other));
      warp.setPredicate(q, mask, combination.apply(~bits, other));
    }
  }

  /** {@code selp}: {@code d = c ? a : b}. */
  static final class LongSelectLoop extends Step {
    private final int d;
    private final int a;
    private final int b;
    private final int c;
    private final boolean negated;

    LongSelectLoop(int d, int a, int b, int c, boolean negated) {
      this.d = d;
      this.a = a;
      this.b = b;
      this.c = c;
      this.negated = negated;
    }

    @Override
    void run(Warp warp, int mask) {
      int chosen = negated ? ~warp.predicates[c] : warp.predicates[c];
      long[] wide = warp.wide;
      for (int rest = mask; rest != 0; rest &= rest - 1) {
        int i = Integer.numberOfTrailingZeros(rest);
        wide[d + i] = wide[(((chosen >>> i) & 1) != 0 ? a : b) + i];
      }
    }
  }

  /** {@code and.pred} and the like, of bits 32 at a time. */
  static final class LogicStep extends Step {
    private final Combination f;
    private final int p;
    private final int a;
    private final boolean negatedA;
    private final int b;
    private final boolean negatedB;

    LogicStep(Combination f, int p, int a, boolean negatedA, int b, boolean negatedB) {
      this.f = f;
      this.p = p;
      this.a = a;
      this.negatedA = negatedA;
      this.b = b;
      this.negatedB = negatedB;
    }

    @Override
    void run(Warp warp, int mask) {
      int left = negatedA ? ~warp.predicates[a] : warp.predicates[a];
      int right = negatedB ? ~warp.predicates[b] : warp.predicates[b];
      warp.setPredicate(p, mask, f.apply(left, right));
    }
  }
}
