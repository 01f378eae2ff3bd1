package dev.heddle.nn;

import static dev.heddle.ops.Linear.linear;
import static dev.heddle.ops.MatMul.matmul;
import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.autograd.DeferredGradients;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import org.junit.jupiter.api.Test;

/** Models whose backward passes are cut in two halves train as the others do, to the bit. */
class SplitBackwardTest extends ModelTest {
  private static final int MICRO_BATCHES = 4;

  private record Trace(List<double[]> gradients, List<String> hooks) {}

  /** Gradients of a model over microbatches, each second half two first halves late. */
  private Trace train(boolean halves, boolean recomputed, BlockStyle style, DType dtype) {
    Language model = new Language(layers(dtype), 6, 2, 2, style);
    List<String> hooks = new ArrayList<>();
    for (Parameter parameter : model.parameters()) {
      parameter.tensor().onGradient((tensor, gradient) -> hooks.add(parameter.name()));
    }
    Queue<DeferredGradients> waiting = new ArrayDeque<>();
    try (MemoryScope step = MemoryScope.open()) {
      for (int m = 0; m < MICRO_BATCHES; m++) {
        BlockContext context =
            new BlockContext(
                null,
                new BlockContext.DropoutDraw(
                    0.2,
                    RandomKey.of(SEED, "dropout").with(m),
                    GlobalIndex.whole(Shape.of(2, LENGTH, 6))),
                null);
        Tensor loss = model.loss(ids(), targets(), context, recomputed);
        if (halves) {
          waiting.add(loss.backwardInputs(List.of()));
          if (m >= 2) {
            waiting.remove().run();
          }
        } else {
          loss.backward();
        }
      }
      waiting.forEach(DeferredGradients::run);
    }
    List<double[]> gradients =
        model.parameters().stream().map(parameter -> gradient(parameter).toDoubles()).toList();
    return new Trace(gradients, hooks);
  }

  @Test
  void transformer_givesTheSameBits_andEveryHookOnceAMicroBatch() {
    for (BlockStyle style : List.of(BlockStyle.gpt(6), BlockStyle.llama(6))) {
      for (DType dtype : List.of(DType.F64, DType.F32, DType.BF16)) {
        for (boolean recomputed : new boolean[] {false, true}) {
          Trace whole = train(false, false, style, dtype);
          Trace halves = train(true, recomputed, style, dtype);
          for (int i = 0; i < whole.gradients.size(); i++) {
            assertThat(halves.gradients.get(i)).isEqualTo(whole.gradients.get(i));
          }
          assertThat(halves.hooks).containsExactlyInAnyOrderElementsOf(whole.hooks);
          assertThat(halves.hooks).hasSize(MICRO_BATCHES * whole.gradients.size());
        }
      }
    }
  }

  @Test
  void block_givesItsInputsGradientFirst_andThoseOfItsWeightsLater() {
    TransformerBlock block =
        new TransformerBlock(layers(DType.F64), "block", 6, 2, AttentionMask.CAUSAL, 1);
    NDArray value = values(2, LENGTH, 6);
    NDArray dy = values(2, LENGTH, 6);
    Tensor whole = Tensor.leaf(value);
    block.forward(whole).backward(dy);
    List<double[]> expected = new ArrayList<>();
    for (Parameter parameter : block.parameters()) {
      expected.add(gradient(parameter).toDoubles());
      parameter.tensor().clearGradient();
    }
    Tensor x = Tensor.leaf(value);
    DeferredGradients deferred = block.forward(x).backwardInputs(dy, List.of(x));
    NDArray dx = x.gradient();
    NDArray wholeDx = whole.gradient();
    assertThat(dx).isNotNull();
    assertThat(wholeDx).isNotNull();
    assertThat(dx.toDoubles()).isEqualTo(wholeDx.toDoubles());
    for (Parameter parameter : block.parameters()) {
      boolean norm = parameter.name().contains("norm");
      assertThat(parameter.tensor().gradient() != null).as(parameter.name()).isEqualTo(norm);
    }
    deferred.run();
    for (int i = 0; i < expected.size(); i++) {
      assertThat(gradient(block.parameters().get(i)).toDoubles()).isEqualTo(expected.get(i));
    }
  }

  @Test
  void linear_keepsItsInputAndTheGradientBehindItsActivation() {
    Tensor x = leaf(64, 32);
    Tensor w = leaf(48, 32);
    Tensor b = leaf(48);
    NDArray dy = values(64, 48);
    long before = device.memory().liveBytes();
    try (MemoryScope step = MemoryScope.open()) {
      DeferredGradients deferred;
      try (MemoryScope inside = MemoryScope.temporaries()) {
        deferred = linear(x, w, b, UnaryOperation.GELU).backwardInputs(dy, List.of(x));
      }
      long dx = x.block().byteSize();
      assertThat(device.memory().liveBytes() - before)
          .as("x lives anyway; dx, and the gradient before the activation; z and y are gone")
          .isEqualTo(dx + dy.block().byteSize());
      deferred.run();
      assertThat(device.memory().liveBytes() - before)
          .isEqualTo(dx + w.block().byteSize() + b.block().byteSize());
    }
  }

  @Test
  void product_putsOffOnlyItsLeaves() {
    Tensor a = leaf(3, 4);
    Tensor b = leaf(4, 5);
    Tensor c = leaf(5, 2);
    NDArray dy = values(3, 2);
    DeferredGradients deferred = matmul(matmul(a, b), c).backwardInputs(dy, List.of(a));
    assertThat(a.gradient()).isNotNull();
    assertThat(b.gradient()).isNull();
    assertThat(c.gradient()).isNull();
    deferred.run();
    assertThat(b.gradient()).isNotNull();
    assertThat(c.gradient()).isNotNull();
  }
}
