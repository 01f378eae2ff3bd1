package dev.heddle.simulated.simt;

import dev.heddle.simulated.ptx.PtxOperand;
import dev.heddle.simulated.ptx.PtxType;

/** Branches, exits, barriers and fences. */
final class ControlDecoder {
  private static final int ALL_THREADS = -1;

  private ControlDecoder() {}

  static Step step(Operands o) {
    return switch (o.opcode()) {
      case "bra" -> {
        o.take("uni");
        o.wantCount(1);
        yield new Control.Branch(target(o, o.get(0)));
      }
      case "brx" -> indexedBranch(o);
      case "ret", "exit" -> {
        o.take("uni");
        o.wantCount(0);
        yield new Control.Exit();
      }
      case "trap" -> new Control.Trap();
      case "bar", "barrier" -> barrier(o);
      case "membar" ->
          o.want("cta", "gl", "sys").equals("cta") ? new Control.Nothing() : new Control.Fence();
      case "fence" -> {
        o.takeOneOf("sc", "acq_rel", "acquire", "release");
        yield o.want("cta", "cluster", "gpu", "sys").equals("cta")
            ? new Control.Nothing()
            : new Control.Fence();
      }
      default -> {
        o.type(PtxType.U32);
        o.source(0, PtxType.U32);
        yield new Control.Nothing();
      }
    };
  }

  private static int target(Operands o, PtxOperand operand) {
    if (operand instanceof PtxOperand.Label label) {
      return label.target();
    }
    throw o.refuse("a label is wanted");
  }

  private static Step indexedBranch(Operands o) {
    if (!o.take("idx")) {
      throw o.refuse("only brx.idx is supported");
    }
    o.take("uni");
    o.wantCount(2);
    if (!(o.get(1) instanceof PtxOperand.Targets targets)) {
      throw o.refuse("a list of branch targets is wanted");
    }
    int[] places = targets.labels().stream().mapToInt(each -> target(o, each)).toArray();
    return new Control.IndexedBranch(o.source(0, PtxType.U32), places);
  }

  private static Step barrier(Operands o) {
    if (o.take("warp")) {
      o.want("sync");
      o.wantCount(1);
      return new WarpDecoder.Meeting(o.source(0, PtxType.B32), (warp, mask) -> {});
    }
    o.take("cta");
    o.take("aligned");
    String form = o.want("sync", "arrive", "red");
    if (form.equals("red")) {
      return vote(o);
    }
    int threads = ALL_THREADS;
    if (o.count() == 2) {
      threads = o.source(1, PtxType.B32);
    } else {
      o.wantCount(1);
      if (form.equals("arrive")) {
        throw o.refuse("arrive needs a number of threads");
      }
    }
    return new Control.Barrier(
        o.source(0, PtxType.B32), threads, form.equals("sync"), Control.Vote.NONE, 0, false, 0);
  }

  private static Step vote(Operands o) {
    Control.Vote vote =
        switch (o.want("popc", "and", "or")) {
          case "popc" -> Control.Vote.POPC;
          case "and" -> Control.Vote.AND;
          default -> Control.Vote.OR;
        };
    boolean count = vote == Control.Vote.POPC;
    o.type(count ? PtxType.U32 : PtxType.PRED);
    int threads = ALL_THREADS;
    if (o.count() == 4) {
      threads = o.source(2, PtxType.B32);
    } else {
      o.wantCount(3);
    }
    Operands.Predicate c = o.predicate(o.get(o.count() - 1));
    int d = count ? o.result(0, PtxType.B32) : o.predicateResult(o.get(0));
    return new Control.Barrier(
        o.source(1, PtxType.B32), threads, true, vote, c.place(), c.negated(), d);
  }
}
