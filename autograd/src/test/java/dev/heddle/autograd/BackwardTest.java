package dev.heddle.autograd;

import static dev.heddle.autograd.Functions.BACKWARDS;
import static dev.heddle.autograd.Functions.add;
import static dev.heddle.autograd.Functions.custom;
import static dev.heddle.autograd.Functions.multiply;
import static dev.heddle.autograd.Functions.sum;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The engine: order, accumulation, modes, hooks, what is kept and what is refused. */
class BackwardTest extends DeviceTest {
  @BeforeEach
  void forgetBackwards() {
    BACKWARDS.clear();
  }

  // ---- order and accumulation

  @Test
  void product_givesEachFactorTheOther() {
    Tensor a = leaf(2, 3);
    Tensor b = leaf(5, 7);
    sum(multiply(a, b)).backward();
    assertThat(gradient(a)).containsExactly(5, 7);
    assertThat(gradient(b)).containsExactly(2, 3);
  }

  @Test
  void tensorUsedManyTimes_addsUpEveryUse() {
    Tensor x = leaf(3);
    Tensor y = x;
    for (int i = 0; i < 5; i++) {
      y = add(y, x);
    }
    sum(multiply(y, x)).backward();
    // y = 6 x², dy/dx = 12 x.
    assertThat(gradient(x)).containsExactly(36);
  }

  @Test
  void gradientWithAPlace_isAccumulatedThere_andForgottenNotFreed() {
    NDArray place = vector(7, 7);
    Tensor x = leaf(3, -4);
    x.keepGradientIn(place);
    assertThat(x.gradient()).isNull();
    for (int step = 0; step < 2; step++) {
      sum(multiply(x, x)).backward();
      sum(x).backward();
      assertThat(gradient(x)).containsExactly(7, -7);
      assertThat(place.toDoubles()).containsExactly(7, -7);
      x.clearGradient();
      assertThat(x.gradient()).isNull();
      assertThat(place.isLive()).isTrue();
    }
    assertThat(x.gradientOrZeros()).isSameAs(place);
    assertThat(place.toDoubles()).containsOnly(0);
    assertThatThrownBy(() -> x.keepGradientIn(place))
        .hasMessageContaining("has a place for its gradient already");
    assertThatThrownBy(() -> leaf(1).keepGradientIn(place))
        .hasMessageContaining("wanted a contiguous array like tensor F64[1]");
  }

  @Test
  void sameTensorTwiceInOneOperator_countsTwice() {
    Tensor x = leaf(3, -4);
    sum(multiply(x, x)).backward();
    assertThat(gradient(x)).containsExactly(6, -8);
    Tensor z = leaf(1);
    sum(add(z, z)).backward();
    assertThat(gradient(z)).containsExactly(2);
  }

  @Test
  void diamond_runsEachNodeOnceAfterAllItsUses() {
    Tensor x = leaf(2);
    Tensor shared = multiply(x, x);
    Tensor left = multiply(shared, leaf(10));
    Tensor right = multiply(shared, leaf(100));
    sum(add(left, right)).backward();
    assertThat(gradient(x)).containsExactly(4 * 110);
    assertThat(BACKWARDS).containsExactly("sum", "add", "multiply", "multiply", "multiply");
  }

  @Test
  void diamondOfUnequalArms_waitsForTheLongerOne() {
    Tensor x = leaf(2);
    Tensor shared = multiply(x, x);
    Tensor longArm = shared;
    for (int i = 0; i < 20; i++) {
      longArm = add(longArm, Tensor.constant(vector(1)));
    }
    sum(add(longArm, shared)).backward();
    assertThat(gradient(x)).containsExactly(8);
    assertThat(BACKWARDS).hasSize(1 + 1 + 20 + 1);
  }

  @Test
  void chainOfTenThousandNodes_needsNoStack() {
    Tensor x = leaf(1);
    Tensor y = x;
    for (int i = 0; i < 10_000; i++) {
      y = add(y, Tensor.constant(vector(1)));
    }
    y.backward();
    assertThat(gradient(x)).containsExactly(1);
    assertThat(y.item()).isEqualTo(10_001);
  }

  @Test
  void secondGraph_accumulatesInTheSameGradient() {
    Tensor x = leaf(2, 3);
    sum(multiply(x, x)).backward();
    sum(multiply(x, x)).backward();
    assertThat(gradient(x)).containsExactly(8, 12);
    x.clearGradient();
    assertThat(x.gradient()).isNull();
    sum(x).backward();
    assertThat(gradient(x)).containsExactly(1, 1);
  }

  @Test
  void gradientPassedOnUnchanged_isNotSharedBetweenLeaves() {
    // Large enough that a leaf would take over a gradient array instead of copying it.
    double[] ones = new double[100];
    Arrays.fill(ones, 1);
    Tensor a = leaf(ones);
    Tensor b = leaf(ones);
    NDArray dy = vector(ones);
    add(a, b).backward(dy);
    // Later contributions are added in place: each leaf must own its array, and dy must not change.
    add(a, a).backward(vector(ones));
    assertThat(gradient(a)).containsOnly(3);
    assertThat(gradient(b)).containsOnly(1);
    assertThat(dy.toDoubles()).containsOnly(1);
    Tensor c = leaf(ones);
    Tensor d = leaf(ones);
    sum(multiply(add(c, d), Tensor.constant(vector(ones)))).backward();
    sum(c).backward();
    assertThat(gradient(c)).containsOnly(2);
    assertThat(gradient(d)).containsOnly(1);
  }

  @Test
  void broadcastGradient_isMadeWholeInTheLeaf() {
    Tensor x = leaf(1, 2, 3);
    sum(x).backward(vector(4));
    NDArray gradient = x.gradient();
    assertThat(gradient).isNotNull();
    assertThat(gradient.isContiguous()).isTrue();
    assertThat(gradient.toDoubles()).containsExactly(4, 4, 4);
  }

  @Test
  void leafItself_canBeTheRoot() {
    Tensor x = leaf(1, 2);
    x.backward(vector(3, 4));
    assertThat(gradient(x)).containsExactly(3, 4);
  }

  // ---- only where needed

  @Test
  void gradientsOfWhatNeedsNone_areNotComputedNorSaved() {
    Tensor x = leaf(2);
    Tensor constant = Tensor.constant(vector(3));
    Tensor unneeded = multiply(constant, constant);
    assertThat(unneeded.isLeaf()).isTrue();
    Tensor y = multiply(x, unneeded);
    long references = x.block().references();
    assertThat(references).as("x is read only for the gradient of the constant").isEqualTo(1);
    y.backward();
    assertThat(BACKWARDS).containsExactly("multiply");
    assertThat(gradient(x)).containsExactly(9);
  }

  @Test
  void zeroGradient_skipsTheNodesBehindIt() {
    Tensor x = leaf(2);
    Tensor before = multiply(x, x);
    Tensor blocked = custom(before, dy -> Gradients.of((NDArray) null));
    add(blocked, x).backward();
    assertThat(BACKWARDS).containsExactly("add", "custom");
    assertThat(gradient(x)).containsExactly(1);
  }

  @Test
  void noGrad_recordsNothing() {
    Tensor x = leaf(2);
    Tensor y;
    try (GradientMode off = GradientMode.noGrad()) {
      y = multiply(x, x);
      assertThat(x.block().references()).as("nothing was saved").isEqualTo(1);
      try (GradientMode on = GradientMode.enableGrad()) {
        assertThat(multiply(x, x).requiresGradient()).isTrue();
      }
      assertThat(GradientMode.isEnabled()).isFalse();
    }
    assertThat(y.requiresGradient()).isFalse();
    assertThatThrownBy(y::backward)
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("requires no gradient")
        .hasMessageContaining("noGrad()");
  }

  @Test
  void detach_cutsTheGraphAndSharesMemory() {
    Tensor x = leaf(3);
    Tensor detached = multiply(x, x).detach();
    Tensor y = multiply(detached, x);
    y.backward();
    assertThat(gradient(x)).containsExactly(9);
    assertThat(x.detach().block()).isSameAs(x.block());
  }

  // ---- hooks

  @Test
  void hookOnLeaf_firesOnceWithTheAccumulatedGradient() {
    Tensor x = leaf(3);
    List<Double> seen = new ArrayList<>();
    x.onGradient((tensor, gradient) -> seen.add(gradient.item()));
    sum(add(multiply(x, x), x)).backward();
    sum(x).backward();
    assertThat(seen).containsExactly(7.0, 8.0);
  }

  @Test
  void hookOnLeaf_mayChangeTheGradientInPlace() {
    Tensor x = leaf(3);
    x.onGradient((tensor, gradient) -> gradient.kernels().scale(gradient, 0.5, gradient));
    sum(multiply(x, x)).backward();
    assertThat(gradient(x)).containsExactly(3);
  }

  @Test
  void hookOnIntermediate_firesOnceWithTheCompleteGradient() {
    Tensor x = leaf(3);
    Tensor shared = multiply(x, x);
    List<Double> seen = new ArrayList<>();
    shared.onGradient((tensor, gradient) -> seen.add(gradient.item()));
    sum(add(shared, add(shared, shared))).backward();
    assertThat(seen).containsExactly(3.0);
  }

  @Test
  void hookOnConstant_isRefused() {
    assertThatThrownBy(() -> Tensor.constant(vector(1)).onGradient((tensor, gradient) -> {}))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("requires no gradient, so none will be ready");
  }

  @Test
  void hookThatRunsAnotherBackward_disturbsNeither() {
    Tensor x = leaf(3);
    Tensor other = leaf(10);
    Tensor shared = multiply(x, x);
    shared.onGradient(
        (tensor, gradient) -> {
          try (GradientMode on = GradientMode.enableGrad()) {
            sum(multiply(x, other)).backward();
          }
        });
    sum(add(shared, x)).backward();
    assertThat(gradient(x)).containsExactly(10 + 6 + 1);
    assertThat(gradient(other)).containsExactly(3);
  }

  // ---- what is kept, what is refused

  @Test
  void secondBackward_isRefusedUnlessRetained() {
    Tensor x = leaf(3);
    Tensor y = multiply(x, x);
    y.backward(vector(1), true);
    y.backward(vector(1));
    assertThat(gradient(x)).containsExactly(12);
    assertThatThrownBy(y::backward)
        .isInstanceOf(IllegalStateException.class)
        .hasMessage(
            "backward: the graph behind tensor F64[1] was released by an earlier backward();"
                + " pass retainGraph = true there if it is to be walked twice");
    assertThat(gradient(x)).containsExactly(12);
  }

  @Test
  void graphSharedWithAReleasedOne_isRefusedBeforeAnythingChanges() {
    Tensor x = leaf(3);
    Tensor z = leaf(4);
    Tensor trunk = multiply(x, x);
    sum(trunk).backward();
    BACKWARDS.clear();
    assertThatThrownBy(() -> sum(add(trunk, multiply(z, z))).backward())
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("was released by an earlier backward()");
    assertThat(BACKWARDS).isEmpty();
    assertThat(z.gradient()).isNull();
  }

  @Test
  void backwardAfterTheScopeClosed_isRefused() {
    Tensor x = leaf(3);
    Tensor y;
    try (MemoryScope step = MemoryScope.open()) {
      y = multiply(x, x);
      scope.adopt(y);
    }
    assertThatThrownBy(y::backward)
        .isInstanceOf(IllegalStateException.class)
        .hasMessage(
            "backward: the graph behind tensor F64[1] went with its MemoryScope; call backward()"
                + " before the scope of the forward closes");
    Tensor gone;
    try (MemoryScope step = MemoryScope.open()) {
      gone = multiply(x, x);
    }
    assertThatThrownBy(gone::item)
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("is used after its memory was given back");
  }

  @Test
  void savedValueChangedInPlace_isNoticed() {
    Tensor x = leaf(3);
    Tensor y = multiply(x, x);
    x.value().writeDoubles(5);
    x.block().touch();
    assertThatThrownBy(y::backward)
        .isInstanceOf(IllegalStateException.class)
        .hasMessage(
            "backward of Multiply: the value F64[1] on cpu that it saved was changed in place"
                + " (version 1, saved at 0); change a copy, or run backward first");
    assertThat(x.gradient()).isNull();
  }

  @Test
  void valueThatNobodySaved_mayChangeInPlace() {
    Tensor x = leaf(3);
    Tensor y = add(x, x);
    x.block().touch();
    y.backward();
    assertThat(gradient(x)).containsExactly(2);
  }

  @Test
  void gradientOfManyElements_mustBeGiven() {
    Tensor x = leaf(1, 2);
    assertThatThrownBy(() -> multiply(x, x).backward())
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "Tensor.backward: the result of Multiply F64[2] has 2 elements; a gradient to start"
                + " from is needed: backward(gradient)");
    assertThatThrownBy(() -> multiply(x, x).backward(vector(1)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("backward: the gradient is F64[1], the tensor is F64[2]; they must agree");
  }

  @Test
  void onlyLeavesKeepGradients() {
    Tensor x = leaf(1);
    assertThatThrownBy(() -> multiply(x, x).gradient())
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("only leaves keep gradients, use onGradient");
    assertThatThrownBy(() -> Tensor.constant(vector(1)).gradient())
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("requires no gradient; make it with Tensor.leaf");
    NDArray integers = NDArray.of(device, Shape.of(1), 1L);
    assertThatThrownBy(() -> Tensor.leaf(integers))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("only floating-point tensors have gradients");
  }

  @Test
  void wrongBackwards_areNamed() {
    Tensor x = leaf(1, 2);
    assertThatThrownBy(() -> custom(x, dy -> Gradients.of(dy, dy)).backward(vector(1, 1)))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("backward of Custom returned 2 gradients for 1 inputs");
    assertThatThrownBy(
            () -> custom(x, dy -> Gradients.of(dy.slice(0, 0, 1))).backward(vector(1, 1)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "backward of Custom, input 0: the gradient is F64[1], the tensor is F64[2]; they must"
                + " agree");
    NDArray single = NDArray.of(device, DType.F32, Shape.of(2), 1, 1);
    assertThatThrownBy(() -> custom(x, dy -> Gradients.of(single)).backward(vector(1, 1)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("the gradient is F32[2], the tensor is F64[2]");
  }

  @Test
  void failingBackward_leavesNoStateBehind() {
    Tensor x = leaf(2);
    long before;
    try (MemoryScope step = MemoryScope.open()) {
      before = liveBytes();
      Tensor failing =
          custom(
              multiply(x, x),
              dy -> {
                throw new IllegalArgumentException("no derivative today");
              });
      // The other arm's gradient is pending while the custom node fails.
      Tensor y = add(add(x, multiply(x, x)), failing);
      assertThatThrownBy(y::backward).hasMessage("no derivative today");
      assertThat(GradientMode.isEnabled()).isTrue();
    }
    assertThat(liveBytes()).isEqualTo(before);
    assertThat(x.gradient()).isNull();
    sum(multiply(x, x)).backward();
    assertThat(gradient(x)).containsExactly(4);
  }

  @Test
  void failingHook_leavesNoStateBehind() {
    Tensor x = leaf(2);
    Tensor y = leaf(3);
    x.onGradient(
        (tensor, gradient) -> {
          throw new IllegalStateException("hook");
        });
    assertThatThrownBy(() -> sum(multiply(y, x)).backward()).hasMessage("hook");
    sum(multiply(y, y)).backward();
    assertThat(gradient(y)).containsExactly(6);
  }

  // ---- memory

  @Test
  void afterBackward_onlyGradientsRemain() {
    Tensor x = leaf(new double[1000]);
    long before = liveBytes();
    try (MemoryScope step = MemoryScope.open()) {
      Tensor y = x;
      for (int i = 0; i < 10; i++) {
        y = multiply(y, y);
      }
      sum(y).backward();
    }
    NDArray gradient = x.gradient();
    assertThat(gradient).isNotNull();
    assertThat(liveBytes() - before).isEqualTo(gradient.block().byteSize());
  }

  @Test
  void backward_releasesWhatItConsumedAsItGoes() {
    Tensor x = leaf(new double[1000]);
    int depth = 20;
    try (MemoryScope step = MemoryScope.open()) {
      Tensor y;
      try (MemoryScope inside = MemoryScope.temporaries()) {
        y = x;
        for (int i = 0; i < depth; i++) {
          y = multiply(y, y);
        }
        y = inside.keep(sum(y));
      }
      long one = x.block().byteSize();
      long held = liveBytes();
      assertThat(held).as("saved: x and the %d inputs after it", depth).isGreaterThan(depth * one);
      device.memory().resetPeak();
      y.backward();
      // At any time: what is still saved, the gradient coming in, and the product's two results.
      assertThat(device.memory().peakLiveBytes()).isLessThanOrEqualTo(held + 3 * one + 256);
      assertThat(liveBytes()).as("x, its gradient and the result").isLessThan(2 * one + 256);
    }
  }

  @Test
  void temporaries_giveBackWhatTheGraphDidNotSave() {
    Tensor x = leaf(new double[1000]);
    long before = liveBytes();
    Tensor y;
    try (MemoryScope inside = MemoryScope.temporaries()) {
      Tensor unsaved = add(add(x, x), x);
      y = inside.keep(add(unsaved, unsaved));
    }
    assertThat(liveBytes() - before).isEqualTo(y.block().byteSize());
    sum(y).backward();
    assertThat(gradient(x)[0]).isEqualTo(6);
  }
}
