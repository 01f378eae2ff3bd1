package dev.heddle.steady;

import static dev.heddle.ops.Add.add;
import static dev.heddle.ops.Reshape.reshape;

import com.sun.management.ThreadMXBean;
import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Embedding;
import dev.heddle.nn.Initializer;
import dev.heddle.nn.LayerNorm;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.Module;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.TransformerBlock;
import dev.heddle.nn.VocabularyHead;
import dev.heddle.optim.AdamW;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryPool;
import dev.heddle.runtime.memory.MemoryScope;
import java.lang.management.CompilationMXBean;
import java.lang.management.ManagementFactory;
import java.util.Random;

/**
 * Trains a small GPT and prints {@code SYSTEM n}, the pool's system allocations after the third
 * step and at the end, and {@code HEAP n}, heap bytes of all threads a step, for windows of steps
 * until nothing is compiled any more. Argument: threads.
 */
public final class SteadyLoop {
  /** As many layers as the GPT of the step comparison: heap bytes go with operators, not sizes. */
  private static final int LAYERS = 4;

  private static final int SIZE = 48;
  private static final int HEADS = 3;
  private static final int LENGTH = 24;
  private static final int BATCH = 2;
  private static final int WORDS = 40;
  private static final int WINDOW = 50;
  private static final int WINDOWS = 16;

  /**
   * Windows without a compilation after which all is compiled. Steps are short and compilations are
   * not: on a busy machine the compiler is behind for dozens of windows.
   */
  private static final int QUIET_WINDOWS = 10;

  private static final int MOST_WINDOWS = 400;

  private SteadyLoop() {}

  private static final class Gpt extends Module {
    private final Embedding words;
    private final Parameter position;
    private final TransformerBlock[] blocks = new TransformerBlock[LAYERS];
    private final LayerNorm norm;
    private final VocabularyHead head;

    Gpt(LocalLayers layers) {
      words = own(new Embedding(layers, "word", WORDS, SIZE, 0.02));
      position =
          own(
              layers.parameter(
                  "position.weight", Shape.of(LENGTH, SIZE), new Initializer.Normal(0.02)));
      for (int i = 0; i < LAYERS; i++) {
        blocks[i] =
            own(
                new TransformerBlock(
                    layers, "block" + i, SIZE, HEADS, AttentionMask.CAUSAL, LAYERS));
      }
      norm = own(new LayerNorm(layers, "norm", SIZE));
      head = own(new VocabularyHead(layers, "head", SIZE, WORDS, 0.02));
    }

    Tensor lossSum(NDArray ids, NDArray targets) {
      Tensor x = add(reshape(words.forward(ids), BATCH, LENGTH, SIZE), position.tensor());
      for (TransformerBlock block : blocks) {
        x = block.forward(x);
      }
      return head.lossSum(reshape(norm.forward(x), BATCH * LENGTH, SIZE), targets);
    }
  }

  /** Runs and prints. */
  public static void main(String[] arguments) {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    try (CpuDevice device =
            CpuDevice.open("steady", Integer.parseInt(arguments[0]), CpuBackend.BEST);
        MemoryScope lasting = MemoryScope.open()) {
      Gpt gpt = new Gpt(new LocalLayers(device, DType.F32, 1));
      AdamW optimizer = new AdamW(gpt.parameters(), AdamW.Settings.withDecay(0.01));
      NDArray ids = whole(device, 1);
      NDArray targets = whole(device, 2);
      MemoryPool pool = device.memory();
      for (int i = 0; i < 3; i++) {
        step(gpt, optimizer, ids, targets);
      }
      System.out.println("SYSTEM " + pool.systemAllocations());
      double loss = 0;
      CompilationMXBean compiler = ManagementFactory.getCompilationMXBean();
      long compiled = 0;
      int quiet = 0;
      for (int window = 0; window < MOST_WINDOWS; window++) {
        if (window >= WINDOWS && quiet >= QUIET_WINDOWS) {
          break;
        }
        long before = threads.getTotalThreadAllocatedBytes();
        for (int i = 0; i < WINDOW; i++) {
          loss = step(gpt, optimizer, ids, targets);
        }
        long after = threads.getTotalThreadAllocatedBytes();
        System.out.println("HEAP " + (after - before) / WINDOW);
        long total = compiler.getTotalCompilationTime();
        quiet = total == compiled ? quiet + 1 : 0;
        compiled = total;
      }
      System.out.println("SYSTEM " + pool.systemAllocations());
      System.out.println("LOSS " + loss);
      System.out.println("DEVICE " + device);
    }
  }

  private static double step(Gpt gpt, AdamW optimizer, NDArray ids, NDArray targets) {
    double loss;
    try (MemoryScope scope = MemoryScope.open()) {
      Tensor sum = gpt.lossSum(ids, targets);
      sum.backward();
      loss = sum.item() / targets.size();
    }
    optimizer.step(1e-3, 1.0 / targets.size());
    for (Parameter parameter : gpt.parameters()) {
      parameter.tensor().clearGradient();
    }
    return loss;
  }

  private static NDArray whole(CpuDevice device, long seed) {
    Random random = new Random(seed);
    long[] values = new long[BATCH * LENGTH];
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextInt(WORDS);
    }
    return NDArray.of(device, Shape.of(values.length), values);
  }
}
