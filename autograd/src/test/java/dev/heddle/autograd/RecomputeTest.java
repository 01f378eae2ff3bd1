package dev.heddle.autograd;

import static dev.heddle.autograd.Functions.BACKWARDS;
import static dev.heddle.autograd.Functions.add;
import static dev.heddle.autograd.Functions.dropout;
import static dev.heddle.autograd.Functions.multiply;
import static dev.heddle.autograd.Functions.sum;
import static dev.heddle.autograd.Recompute.recompute;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.Function;
import org.junit.jupiter.api.Test;

/** A recomputed block gives the bits, the hooks and the errors of one that is not. */
class RecomputeTest extends DeviceTest {
  private static final int SIZE = 200;
  private static final RandomKey KEY = RandomKey.of(3, "dropout");

  private double[] random(long seed) {
    return new Random(seed).doubles(SIZE, -1, 1).toArray();
  }

  /** What a model's pass left: its value, the gradients of its leaves, and what its hooks saw. */
  private record Trace(double[] y, List<double[]> gradients, List<String> hooks) {}

  /** Runs two blocks that share a parameter, which is also used outside, over two microbatches. */
  private Trace run(boolean recomputed, boolean gradientOfInput) {
    Tensor x = gradientOfInput ? leaf(random(1)) : Tensor.constant(vector(random(1)));
    Tensor tied = leaf(random(2));
    Tensor own = leaf(random(3));
    List<String> hooks = new ArrayList<>();
    tied.onGradient((tensor, gradient) -> hooks.add("tied " + gradient.toDoubles()[7]));
    own.onGradient((tensor, gradient) -> hooks.add("own " + gradient.toDoubles()[7]));
    Function<Tensor, Tensor> first =
        input -> add(input, dropout(multiply(multiply(input, tied), own), KEY.with(1)));
    Function<Tensor, Tensor> second =
        input -> multiply(dropout(multiply(add(input, tied), tied), KEY.with(2)), input);
    double[] value = {};
    for (int microBatch = 0; microBatch < 2; microBatch++) {
      Tensor h = multiply(x, tied);
      h = recomputed ? recompute(first, h) : first.apply(h);
      h = recomputed ? recompute(second, h) : second.apply(h);
      Tensor y = multiply(h, tied);
      value = y.value().toDoubles();
      sum(y).backward();
    }
    List<double[]> gradients = new ArrayList<>();
    gradients.add(gradient(tied));
    gradients.add(gradient(own));
    if (gradientOfInput) {
      gradients.add(gradient(x));
    }
    return new Trace(value, gradients, hooks);
  }

  @Test
  void recompute_givesTheSameBitsAndTheSameHooks() {
    for (boolean gradientOfInput : new boolean[] {true, false}) {
      Trace plain = run(false, gradientOfInput);
      Trace recomputed = run(true, gradientOfInput);
      assertThat(recomputed.y).isEqualTo(plain.y);
      assertThat(recomputed.gradients.size()).isEqualTo(plain.gradients.size());
      for (int i = 0; i < plain.gradients.size(); i++) {
        assertThat(recomputed.gradients.get(i)).isEqualTo(plain.gradients.get(i));
      }
      assertThat(recomputed.hooks)
          .as("each parameter's hook fires once a pass, when its gradient is complete")
          .containsExactlyInAnyOrderElementsOf(plain.hooks)
          .hasSize(4);
    }
  }

  @Test
  void nestedRecompute_givesTheSameBits() {
    Tensor w = leaf(random(4));
    Function<Tensor, Tensor> inner = input -> dropout(multiply(add(input, w), input), KEY);
    Function<Tensor, Tensor> outer = input -> multiply(inner.apply(inner.apply(input)), w);
    Function<Tensor, Tensor> outerNested =
        input -> multiply(recompute(inner, recompute(inner, input)), w);
    List<Double> hooks = new ArrayList<>();
    w.onGradient((tensor, gradient) -> hooks.add(gradient.toDoubles()[3]));
    Tensor x = leaf(random(5));
    sum(multiply(outer.apply(x), w)).backward();
    double[] plainW = gradient(w);
    double[] plainX = gradient(x);
    w.clearGradient();
    x.clearGradient();
    sum(multiply(recompute(outerNested, x), w)).backward();
    assertThat(gradient(w)).isEqualTo(plainW);
    assertThat(gradient(x)).isEqualTo(plainX);
    assertThat(hooks).hasSize(2);
    assertThat(hooks.get(1)).isEqualTo(hooks.get(0));
  }

  @Test
  void tensorCapturedFromOutside_getsItsGradient() {
    Tensor w = leaf(2);
    Tensor x = leaf(3);
    Tensor captured = multiply(w, w);
    recompute(input -> multiply(input, captured), x).backward();
    assertThat(gradient(w)).containsExactly(3 * 4);
    assertThat(gradient(x)).containsExactly(4);
  }

  @Test
  void detachAndNoGradInsideTheBlock_cutAsUsual() {
    Tensor w = leaf(2);
    Tensor x = leaf(3);
    recompute(
            input -> {
              Tensor constant;
              try (GradientMode off = GradientMode.noGrad()) {
                constant = multiply(w, w);
              }
              return multiply(multiply(input, constant), input.detach());
            },
            x)
        .backward();
    assertThat(w.gradient()).isNull();
    assertThat(gradient(x)).containsExactly(12);
  }

  @Test
  void blockThatReturnsItsInput_addsNothing() {
    Tensor x = leaf(3);
    assertThat(recompute(input -> input, x)).isSameAs(x);
  }

  @Test
  void blockWithoutGradients_givesAConstant() {
    Tensor x = Tensor.constant(vector(3));
    assertThat(recompute(input -> multiply(input, input), x).requiresGradient()).isFalse();
  }

  @Test
  void recompute_keepsOnlyTheInput() {
    Tensor x = leaf(random(1));
    long one = x.block().byteSize();
    Function<Tensor, Tensor> block =
        input -> {
          Tensor y = input;
          for (int i = 0; i < 20; i++) {
            y = multiply(y, y);
          }
          return y;
        };
    long before = liveBytes();
    try (MemoryScope step = MemoryScope.open()) {
      Tensor y = recompute(block, x);
      assertThat(liveBytes() - before).isEqualTo(one);
      device.memory().resetPeak();
      sum(y).backward();
      // The block's 20 values exist again for a moment, and are consumed one by one.
      assertThat(device.memory().peakLiveBytes() - before).isBetween(20 * one, 25 * one);
    }
    assertThat(liveBytes() - before).as("the gradient of x").isEqualTo(one);
  }

  @Test
  void retainedGraph_canBeRecomputedTwice() {
    Tensor x = leaf(3);
    Tensor y = recompute(input -> multiply(input, input), x);
    y.backward(vector(1), true);
    y.backward(vector(1));
    assertThat(gradient(x)).containsExactly(12);
  }

  @Test
  void parameterChangedBeforeTheSecondRun_isNoticed() {
    Tensor w = leaf(2);
    Tensor y = recompute(input -> add(input, w), leaf(3));
    w.block().touch();
    assertThatThrownBy(y::backward)
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("backward of Recompute: the value")
        .hasMessageContaining("was changed in place");
  }

  @Test
  void blockThatDoesOtherwiseTheSecondTime_isRefused() {
    Tensor x = leaf(3);
    int[] calls = {0};
    Tensor y = recompute(input -> calls[0]++ == 0 ? multiply(input, input) : input, x);
    assertThatThrownBy(y::backward)
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("a recomputed block must do the same when called again");
    assertThat(x.gradient()).isNull();
  }

  @Test
  void failureInTheSecondRun_leavesNoStateBehind() {
    Tensor x = leaf(random(1));
    Tensor w = leaf(random(2));
    long before;
    try (MemoryScope step = MemoryScope.open()) {
      before = liveBytes();
      int[] calls = {0};
      Tensor y =
          recompute(
              input -> {
                Tensor h = multiply(multiply(input, w), input);
                if (calls[0]++ > 0) {
                  throw new IllegalStateException("second run");
                }
                return h;
              },
              x);
      NDArray dy = vector(random(6));
      assertThatThrownBy(() -> add(multiply(y, w), x).backward(dy)).hasMessage("second run");
    }
    assertThat(liveBytes()).isEqualTo(before);
    BACKWARDS.clear();
    sum(multiply(x, w)).backward();
    assertThat(BACKWARDS).containsExactly("sum", "multiply");
    assertThat(gradient(x)).isEqualTo(w.value().toDoubles());
  }
}
