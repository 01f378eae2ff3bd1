package dev.heddle.jmh.bench;

import dev.heddle.jmh.BenchmarkModel;
import dev.heddle.jmh.CaptionModel;
import dev.heddle.jmh.Precision;
import dev.heddle.jmh.StepWorkerProcess.Program;
import java.util.ArrayList;
import java.util.List;

/**
 * One way to run a peer's training step.
 *
 * @param name the peer and what was chosen of it
 * @param program how it is started
 */
record StepPeer(String name, Program program) {
  private static final String JAVACPP = "dev.heddle.jmh.JavaCppStepWorker";
  private static final String DJL = "dev.heddle.jmh.DjlStepWorker";

  /**
   * libtorch through JavaCPP in all ways that may be its best; which is, differs between
   * processors.
   */
  static List<StepPeer> javaCpp(Peers peers, Precision precision, int threads) {
    List<StepPeer> ways = new ArrayList<>();
    for (Peers.Blas blas : peers.blas()) {
      switch (precision) {
        case F32 -> {
          ways.add(javaCpp(peers, blas, threads, "flash"));
          ways.add(javaCpp(peers, blas, threads, "composed"));
        }
        // The bf16 products are oneDNN's, so one library for the few others is enough.
        case BF16_PRODUCTS -> {
          if (ways.isEmpty()) {
            ways.add(javaCpp(peers, blas, threads, "flash"));
            ways.add(javaCpp(peers, blas, threads, "composed"));
          }
        }
        case BF16 -> {
          if (ways.isEmpty()) {
            ways.add(javaCpp(peers, blas, threads, "composed", "autocast"));
            ways.add(javaCpp(peers, blas, threads, "composed", "weights"));
            ways.add(javaCpp(peers, blas, threads, "flash", "autocast"));
            ways.add(javaCpp(peers, blas, threads, "flash", "weights"));
          }
        }
      }
    }
    return ways;
  }

  private static StepPeer javaCpp(Peers peers, Peers.Blas blas, int threads, String... arguments) {
    return new StepPeer(
        peers.javaCppName() + ", " + blas.label() + ", " + String.join(", ", arguments),
        new Program(
            JAVACPP, List.of(arguments), peers.javaCppFlags(), peers.environment(blas, threads)));
  }

  /** libtorch through DJL; it has no captioning model, and only F32. */
  static List<StepPeer> djl(Peers peers, BenchmarkModel model, Precision precision, int threads) {
    if (!peers.hasDjl() || precision != Precision.F32 || model instanceof CaptionModel) {
      return List.of();
    }
    return List.of(
        new StepPeer(
            peers.djlName(),
            new Program(
                DJL, List.of(), List.of(), peers.environment(Peers.Blas.OPENBLAS, threads))));
  }
}
