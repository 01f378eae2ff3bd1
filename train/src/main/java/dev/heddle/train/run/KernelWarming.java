package dev.heddle.train.run;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Embedding;
import dev.heddle.nn.LayerNorm;
import dev.heddle.nn.LocalLayers;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.TransformerBlock;
import dev.heddle.nn.VocabularyHead;
import dev.heddle.ops.Reshape;
import dev.heddle.optim.AdamW;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * Trains a tiny model on a thread of its own while the command line, the configuration and the data
 * are read. Vector code is some hundred times slower until the just-in-time compiler has been at
 * it, so the kernels of the first step had better be compiled when the ranks begin; and a second
 * core has nothing else to do before.
 *
 * <p>Nothing depends on it: a thread that fails ends, and what it met, training meets and reports.
 */
final class KernelWarming implements AutoCloseable {
  private static final int SEQUENCES = 2;
  private static final int POSITIONS = 16;
  private static final int SIZE = 96;
  private static final int HEADS = 3;
  private static final int WORDS = 64;

  private volatile boolean over;

  private KernelWarming() {}

  /** Starts; on one core not, where it would only be in the way. */
  static KernelWarming start() {
    KernelWarming warming = new KernelWarming();
    if (Runtime.getRuntime().availableProcessors() > 1 && CpuBackend.hasVectorApi()) {
      Thread.ofPlatform().name("warming").daemon().start(warming::run);
    }
    return warming;
  }

  /** Has it end after what it is at, some milliseconds later. */
  @Override
  public void close() {
    over = true;
  }

  private void run() {
    try (CpuDevice device = CpuDevice.open("warming", 1, CpuBackend.BEST);
        MemoryScope scope = MemoryScope.open()) {
      Model model = new Model(device);
      while (!over) {
        turn(model);
      }
    } catch (RuntimeException | LinkageError ignored) {
      // The ranks run the same kernels, and their failure has somebody to be told to.
    }
  }

  /** Ends early once it is over. */
  private void turn(Model model) {
    try (MemoryScope step = MemoryScope.open()) {
      Tensor x = model.words.forward(model.ids);
      x = Reshape.reshape(x, SEQUENCES, POSITIONS, SIZE);
      x = model.encoder.forward(x);
      if (over) {
        return;
      }
      x = model.norm.forward(model.decoder.forward(x));
      Tensor rows = Reshape.reshape(x, SEQUENCES * POSITIONS, SIZE);
      Tensor loss = model.head.lossSum(rows, model.ids);
      if (over) {
        return;
      }
      loss.backward();
      if (over) {
        return;
      }
      NDArray gradient = Objects.requireNonNull(model.words.weight().tensor().gradient());
      double squares = gradient.kernels().sumOfSquares(List.of(gradient));
      model.optimizer.step(1e-3, squares > 1 ? 1 / Math.sqrt(squares) : 1);
    }
    model.optimizer.clearGradients();
  }

  /** An encoder's block, a language model's, and what stands around them. */
  private static final class Model {
    private final NDArray ids;
    private final Embedding words;
    private final TransformerBlock encoder;
    private final TransformerBlock decoder;
    private final LayerNorm norm;
    private final VocabularyHead head;
    private final AdamW optimizer;

    Model(Device device) {
      LocalLayers layers = new LocalLayers(device, DType.F32, 1);
      double deviation = TransformerBlock.DEVIATION;
      words = new Embedding(layers, "words", WORDS, SIZE, deviation);
      encoder = new TransformerBlock(layers, "encoder", SIZE, HEADS, AttentionMask.FULL, 1);
      decoder = new TransformerBlock(layers, "decoder", SIZE, HEADS, AttentionMask.CAUSAL, 1);
      norm = new LayerNorm(layers, "norm", SIZE);
      head = new VocabularyHead(layers, "head", SIZE, WORDS, deviation);
      List<Parameter> parameters = new ArrayList<>(words.parameters());
      parameters.addAll(encoder.parameters());
      parameters.addAll(decoder.parameters());
      parameters.addAll(norm.parameters());
      parameters.addAll(head.parameters());
      optimizer = new AdamW(parameters, AdamW.Settings.withDecay(0.1));
      long[] ids = new long[SEQUENCES * POSITIONS];
      for (int i = 0; i < ids.length; i++) {
        ids[i] = (7L * i) % WORDS;
      }
      this.ids = NDArray.of(device, Shape.of(ids.length), ids);
    }
  }
}
