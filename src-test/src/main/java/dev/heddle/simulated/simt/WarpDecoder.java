package dev.heddle.simulated.simt;

import dev.heddle.simulated.memory.SimulatedFault.Kind;
import dev.heddle.simulated.ptx.PtxOperand;
import dev.heddle.simulated.ptx.PtxType;

/** What the threads of a warp do together: shfl, vote, match, redux, elect, activemask. */
final class WarpDecoder {
  private static final int LANES = Step.LANES;

  private WarpDecoder() {}

  /** What a step does, given the lanes that execute it. */
  interface Action {
    void run(Warp warp, int mask);
  }

  /** A step that the lanes of its member mask meet at. */
  static final class Meeting extends WarpStep {
    private final Action action;

    Meeting(int membersRow, Action action) {
      super(membersRow);
      this.action = action;
    }

    @Override
    void run(Warp warp, int mask) {
      action.run(warp, mask);
    }
  }

  static Step step(Operands o) {
    return switch (o.opcode()) {
      case "activemask" -> activeMask(o);
      case "shfl" -> shuffle(o);
      case "vote" -> vote(o);
      case "match" -> match(o);
      case "redux" -> reduce(o);
      default -> elect(o);
    };
  }

  private static void sync(Operands o) {
    if (!o.take("sync")) {
      throw o.refuse("only the .sync form is supported");
    }
  }

  private static int members(Operands o, int index) {
    return o.source(index, PtxType.B32);
  }

  private static Step activeMask(Operands o) {
    o.type(PtxType.B32);
    o.wantCount(1);
    int d = o.result(0, PtxType.B32);
    return new Step() {
      @Override
      void run(Warp warp, int mask) {
        fill(warp, d, mask, mask);
      }
    };
  }

  private static void fill(Warp warp, int d, int mask, int value) {
    for (int rest = mask; rest != 0; rest &= rest - 1) {
      warp.narrow[d + Integer.numberOfTrailingZeros(rest)] = value;
    }
  }

  private static Step shuffle(Operands o) {
    sync(o);
    String mode = o.want("up", "down", "bfly", "idx");
    o.type(PtxType.B32);
    o.wantCount(5);
    int d;
    int p = 0;
    if (o.get(0) instanceof PtxOperand.Pair pair) {
      d = o.result(pair.first(), PtxType.B32);
      p = o.predicateResult(pair.second());
    } else {
      d = o.result(0, PtxType.B32);
    }
    int a = o.source(1, PtxType.B32);
    int b = o.source(2, PtxType.B32);
    int c = o.source(3, PtxType.B32);
    int predicate = p;
    Action action = (warp, mask) -> shuffle(warp, mask, mode, d, predicate, a, b, c);
    return new Meeting(members(o, 4), action);
  }

  private static void shuffle(Warp warp, int mask, String mode, int d, int p, int a, int b, int c) {
    int[] narrow = warp.narrow;
    int[] values = warp.scratch;
    System.arraycopy(narrow, a, values, 0, LANES);
    int inRange = 0;
    for (int rest = mask; rest != 0; rest &= rest - 1) {
      int lane = Integer.numberOfTrailingZeros(rest);
      int distance = narrow[b + lane] & 31;
      int clamp = narrow[c + lane] & 31;
      int segment = (narrow[c + lane] >> 8) & 31;
      int bound = (lane & segment) | (clamp & ~segment);
      int from;
      boolean valid;
      switch (mode) {
        case "up" -> {
          from = lane - distance;
          valid = from >= bound;
        }
        case "down" -> {
          from = lane + distance;
          valid = from <= bound;
        }
        case "bfly" -> {
          from = lane ^ distance;
          valid = from <= bound;
        }
        default -> {
          from = (lane & segment) | (distance & ~segment);
          valid = from <= bound;
        }
      }
      if (valid) {
        inRange |= 1 << lane;
      } else {
        from = lane;
      }
      if (((mask >>> from) & 1) == 0) {
        throw warp.fault(
            Kind.WARP_DIVERGENCE,
            1 << lane,
            "takes the value of lane %d, which does not execute it (executing: 0x%08x)"
                .formatted(from, mask));
      }
      narrow[d + lane] = values[from];
    }
    warp.setPredicate(p, mask, inRange);
  }

  private static Step vote(Operands o) {
    sync(o);
    String mode = o.want("all", "any", "uni", "ballot");
    boolean ballot = mode.equals("ballot");
    o.type(ballot ? PtxType.B32 : PtxType.PRED);
    o.wantCount(3);
    int d = ballot ? o.result(0, PtxType.B32) : o.predicateResult(o.get(0));
    Operands.Predicate a = o.predicate(o.get(1));
    Action action =
        (warp, mask) -> {
          int bits = warp.predicates[a.place()];
          bits = (a.negated() ? ~bits : bits) & mask;
          switch (mode) {
            case "ballot" -> fill(warp, d, mask, bits);
            case "all" -> warp.setPredicate(d, mask, bits == mask ? -1 : 0);
            case "any" -> warp.setPredicate(d, mask, bits != 0 ? -1 : 0);
            default -> warp.setPredicate(d, mask, bits == mask || bits == 0 ? -1 : 0);
          }
        };
    return new Meeting(members(o, 2), action);
  }

  private static Step match(Operands o) {
    boolean all = o.want("any", "all").equals("all");
    sync(o);
    PtxType type = o.type(PtxType.B32, PtxType.B64);
    o.wantCount(3);
    int d;
    int p = 0;
    if (o.get(0) instanceof PtxOperand.Pair pair) {
      d = o.result(pair.first(), PtxType.B32);
      p = o.predicateResult(pair.second());
    } else {
      d = o.result(0, PtxType.B32);
    }
    int a = o.source(1, type);
    boolean wide = type.bits() == 64;
    int predicate = p;
    Action action =
        (warp, mask) -> {
          int[] found = warp.scratch;
          for (int rest = mask; rest != 0; rest &= rest - 1) {
            int lane = Integer.numberOfTrailingZeros(rest);
            int same = 0;
            for (int others = mask; others != 0; others &= others - 1) {
              int other = Integer.numberOfTrailingZeros(others);
              boolean equal =
                  wide
                      ? warp.wide[a + lane] == warp.wide[a + other]
                      : warp.narrow[a + lane] == warp.narrow[a + other];
              same |= equal ? 1 << other : 0;
            }
            found[lane] = all ? (same == mask ? mask : 0) : same;
          }
          int matched = 0;
          for (int rest = mask; rest != 0; rest &= rest - 1) {
            int lane = Integer.numberOfTrailingZeros(rest);
            warp.narrow[d + lane] = found[lane];
            matched |= found[lane] == mask ? 1 << lane : 0;
          }
          warp.setPredicate(predicate, mask, matched);
        };
    return new Meeting(members(o, 2), action);
  }

  private static Step reduce(Operands o) {
    sync(o);
    String operation = o.want("add", "min", "max", "and", "or", "xor");
    PtxType type = o.type(PtxType.U32, PtxType.S32, PtxType.B32);
    o.wantCount(3);
    Loops.IntIntFunction f =
        switch (operation) {
          case "add" -> (x, y) -> x + y;
          case "and" -> (x, y) -> x & y;
          case "or" -> (x, y) -> x | y;
          case "xor" -> (x, y) -> x ^ y;
          case "min" ->
              type.isSigned() ? Math::min : (x, y) -> Integer.compareUnsigned(x, y) < 0 ? x : y;
          default ->
              type.isSigned() ? Math::max : (x, y) -> Integer.compareUnsigned(x, y) > 0 ? x : y;
        };
    int d = o.result(0, PtxType.B32);
    int a = o.source(1, PtxType.B32);
    Action action =
        (warp, mask) -> {
          int result = warp.narrow[a + Integer.numberOfTrailingZeros(mask)];
          for (int rest = mask & (mask - 1); rest != 0; rest &= rest - 1) {
            result = f.apply(result, warp.narrow[a + Integer.numberOfTrailingZeros(rest)]);
          }
          fill(warp, d, mask, result);
        };
    return new Meeting(members(o, 2), action);
  }

  private static Step elect(Operands o) {
    sync(o);
    o.wantCount(2);
    if (!(o.get(0) instanceof PtxOperand.Pair pair)) {
      throw o.refuse("two results are wanted");
    }
    int d = o.result(pair.first(), PtxType.B32);
    int p = o.predicateResult(pair.second());
    Action action =
        (warp, mask) -> {
          int leader = Integer.numberOfTrailingZeros(mask);
          fill(warp, d, mask, leader);
          warp.setPredicate(p, mask, 1 << leader);
        };
    return new Meeting(members(o, 1), action);
  }
}
