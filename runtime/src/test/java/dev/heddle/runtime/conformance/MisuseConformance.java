package dev.heddle.runtime.conformance;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.List;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;

/** Every backend refuses the same misuse with the same words. */
interface MisuseConformance extends Conformance {
  private NDArray array(long... dims) {
    return NDArray.zeros(subject(), dtype(), dims);
  }

  private NDArray statistic(long... dims) {
    return NDArray.zeros(subject(), dtype().accumulation(), dims);
  }

  private NDArray longs(long... values) {
    return NDArray.of(subject(), Shape.of(values.length), values);
  }

  private static void refused(String message, ThrowingCallable call) {
    assertThatThrownBy(call).isInstanceOf(IllegalArgumentException.class).hasMessage(message);
  }

  @Test
  default void misuse_dataMovement_isRefused() {
    try (MemoryScope scope = MemoryScope.open()) {
      refused(
          "copy: y is [3,2]; wanted [2,3], that of x",
          () -> kernels().copy(array(2, 3), array(3, 2)));
      refused(
          "copy: y [4,3] has stride 0 in dim 0: a broadcast view cannot be written",
          () -> kernels().copy(array(4, 3), array(1, 3).expand(Shape.of(4, 3))));
      NDArray x = array(4, 3);
      refused(
          "copy: y shares memory with x, which this kernel cannot compute in place;"
              + " pass another array",
          () -> kernels().copy(x, x));
      refused(
          "gatherRows: y is [2,2]; wanted [2,3], the rows asked for by the columns of x",
          () -> kernels().gatherRows(x, longs(0, 1), array(2, 2)));
      refused(
          "gatherRows: rows is " + dtype() + "; wanted I32 or I64",
          () -> kernels().gatherRows(x, array(2), array(2, 3)));
      refused(
          "gatherRows: x [3,4] has stride 3 in its innermost dim; wanted 1: pass x.contiguous()",
          () -> kernels().gatherRows(x.transpose(0, 1), longs(0, 1), array(2, 4)));
      refused(
          "localRows: local is I32; wanted I64",
          () -> kernels().localRows(longs(0, 1), 0, 2, 4, NDArray.empty(subject(), DType.I32, 2)));
      refused(
          "localRows: local is [2]; wanted [3], a number for each entry of rows",
          () -> kernels().localRows(longs(0, 1, 2), 0, 2, 4, longs(0, 0)));
      refused(
          "localRows: rows 3 to 5 of 4; wanted a part of them",
          () -> kernels().localRows(longs(0, 1), 3, 2, 4, longs(0, 0)));
      refused(
          "scatterAddRows: x is [4,3]; wanted [2,3], a row for each entry of rows, the columns of"
              + " y",
          () -> kernels().scatterAddRows(x, longs(0, 1), array(9, 3)));
    }
  }

  @Test
  default void misuse_rowOutOfRange_isNamed() {
    try (MemoryScope scope = MemoryScope.open()) {
      assertThatThrownBy(() -> kernels().gatherRows(array(4, 3), longs(0, 9, 1), array(3, 3)))
          .isInstanceOf(IndexOutOfBoundsException.class)
          .hasMessage(
              "gatherRows: rows[1] is 9, but x has 4 rows; wanted a row below that, or a negative"
                  + " one to skip it");
      assertThatThrownBy(() -> kernels().scatterAddRows(array(3, 3), longs(0, 1, 4), array(4, 3)))
          .isInstanceOf(IndexOutOfBoundsException.class)
          .hasMessage(
              "scatterAddRows: rows[2] is 4, but y has 4 rows; wanted a row below that, or a"
                  + " negative one to skip it");
      // 5 is in another part of 6 rows, 6 in none.
      assertThatThrownBy(() -> kernels().localRows(longs(0, 5, 6), 0, 4, 6, longs(0, 0, 0)))
          .isInstanceOf(IndexOutOfBoundsException.class)
          .hasMessage(
              "localRows: row id 6 at 2; wanted less than 6, the rows of all parts, or a negative one"
                  + " to skip it");
      // 7 is in another part of 8 classes, 8 in none.
      assertThatThrownBy(
              () ->
                  kernels()
                      .crossEntropy(
                          array(4, 3), longs(2, 7, 8, -1), 0, 8, statistic(4), statistic(4)))
          .isInstanceOf(IndexOutOfBoundsException.class)
          .hasMessage(
              "crossEntropy: target 8 of row 2; wanted less than 8, the classes in all, or a"
                  + " negative one to ignore the row");
    }
  }

  @Test
  default void misuse_elementwise_isRefused() {
    try (MemoryScope scope = MemoryScope.open()) {
      NDArray x = array(2, 3);
      NDArray transposed = array(3, 2).transpose(0, 1);
      String strided = dtype() + "[2,3] strided on " + subject().name();
      refused(
          "unary: x is " + strided + "; wanted a contiguous array: pass x.contiguous()",
          () -> kernels().unary(UnaryOperation.EXP, transposed, array(2, 3)));
      refused(
          "unary: x is I64; wanted a floating type: F32, F64 or BF16",
          () -> kernels().unary(UnaryOperation.EXP, longs(1), longs(1)));
      refused(
          "unary: y is I64 and x is " + dtype() + ": their dtypes must be equal",
          () -> kernels().unary(UnaryOperation.EXP, array(1), longs(1)));
      refused(
          "unaryBackward: dx shares memory with x, which this kernel cannot compute in place;"
              + " pass another array",
          () -> kernels().unaryBackward(UnaryOperation.EXP, x, array(2, 3), x));
      refused(
          "binary: a is [2,3] and b is [2], which do not broadcast to y, [2,3]: sizes aligned at"
              + " the innermost dim must be equal or 1",
          () -> kernels().binary(BinaryOperation.ADD, x, array(2), array(2, 3)));
      NDArray row = array(1, 3);
      refused(
          "binary: a is [1,3] and b is [1,3], which do not broadcast to y, [2,3]: sizes aligned"
              + " at the innermost dim must be equal or 1",
          () -> kernels().binary(BinaryOperation.ADD, row, row, array(2, 3)));
      NDArray square = array(3, 3);
      refused(
          "binary: y shares memory with a but is not the same array: in place wants equal shape,"
              + " strides and offset",
          () -> kernels().binary(BinaryOperation.ADD, square.transpose(0, 1), array(3), square));
      NDArray six = array(6);
      refused(
          "scale: y shares memory with x but is not the same array: in place wants equal shape,"
              + " strides and offset",
          () -> kernels().scale(six.slice(0, 0, 4), 2, six.slice(0, 2, 6)));
      refused(
          "swiglu: up is [2,4]; wanted [2,3], that of gate",
          () -> kernels().swiglu(x, array(2, 4), array(2, 3)));
      refused(
          "sumTo: y is [2], which does not broadcast to x, [2,3]: its sizes, aligned at the"
              + " innermost dim, must be those of x or 1",
          () -> kernels().sumTo(x, array(2)));
      refused(
          "argmaxRows: x is [2,0]; wanted at least one column",
          () -> kernels().argmaxRows(array(2, 0), longs(0, 0)));
      refused(
          "argmaxRows: y is " + dtype() + "; wanted I64", () -> kernels().argmaxRows(x, array(2)));
      refused(
          "sumOfSquares: array 1 is "
              + strided
              + "; wanted a contiguous array: pass array 1.contiguous()",
          () -> kernels().sumOfSquares(List.of(x, transposed)));
    }
  }

  @Test
  default void misuse_products_isRefused() {
    try (MemoryScope scope = MemoryScope.open()) {
      refused(
          "gemm: op(a) is [4,6] and op(b) is [5,3]: inner sizes 6 and 5 must be equal",
          () -> kernels().gemm(array(6, 4), true, array(5, 3), false, 1, 0, array(4, 3)));
      refused(
          "gemm: c is [3,4], op(a) is [4,6] and op(b) is [6,3]; wanted a c of [4,3]",
          () -> kernels().gemm(array(4, 6), false, array(6, 3), false, 1, 0, array(3, 4)));
      refused(
          "gemm: a is [4]; wanted rank 2",
          () -> kernels().gemm(array(4), false, array(4, 3), false, 1, 0, array(1, 3)));
      refused(
          "gemm: b [6,3] has stride 6 in its innermost dim; wanted 1: pass b.contiguous()",
          () ->
              kernels()
                  .gemm(array(4, 6), false, array(3, 6).transpose(0, 1), false, 1, 0, array(4, 3)));
      refused(
          "gemm: a [4,6] has row stride 0, less than its 6 columns; wanted rows that do not"
              + " overlap: pass a.contiguous()",
          () ->
              kernels()
                  .gemm(
                      array(1, 6).expand(Shape.of(4, 6)),
                      false,
                      array(6, 3),
                      false,
                      1,
                      0,
                      array(4, 3)));
      NDArray square = array(3, 3);
      refused(
          "gemm: c shares memory with b, which this kernel cannot compute in place; pass another"
              + " array",
          () -> kernels().gemm(array(3, 3), false, square, false, 1, 0, square));
      refused(
          "batchedGemm: a is [2,4,6], b is [3,6,3] and c is [2,4,3]: their leading (batch) sizes"
              + " must be equal",
          () ->
              kernels()
                  .batchedGemm(array(2, 4, 6), false, array(3, 6, 3), false, 1, 0, array(2, 4, 3)));
      refused(
          "linear: x is [4,6] and w is [3,5]: inner sizes 6 and 5 must be equal",
          () ->
              kernels()
                  .linear(array(4, 6), array(3, 5), null, UnaryOperation.GELU, array(4, 3), null));
      refused(
          "linear: bias is [4]; wanted [3], one value a row of w",
          () ->
              kernels()
                  .linear(
                      array(4, 6), array(3, 6), array(4), UnaryOperation.GELU, array(4, 3), null));
      refused(
          "linear: preActivation is given but the activation is IDENTITY: it would equal y; pass"
              + " null",
          () ->
              kernels()
                  .linear(
                      array(4, 6),
                      array(3, 6),
                      null,
                      UnaryOperation.IDENTITY,
                      array(4, 3),
                      array(4, 3)));
    }
  }

  @Test
  default void misuse_rows_isRefused() {
    try (MemoryScope scope = MemoryScope.open()) {
      NDArray x = array(2, 3);
      refused(
          "softmax: x is a scalar; wanted rows, rank 1 or more",
          () -> kernels().softmax(array(), array()));
      refused(
          "layerNorm: weight is [2]; wanted [3], one value a column of x",
          () ->
              kernels()
                  .layerNorm(x, array(2), null, 1e-5, array(2, 3), statistic(2), statistic(2)));
      refused(
          "layerNorm: mean is [3]; wanted [2], one value a row of x",
          () ->
              kernels()
                  .layerNorm(x, array(3), null, 1e-5, array(2, 3), statistic(3), statistic(2)));
      refused(
          "rmsNorm: rstd is I64; wanted "
              + dtype().accumulation()
              + ", the accumulation type of"
              + " x, which is "
              + dtype(),
          () -> kernels().rmsNorm(x, array(3), 1e-5, array(2, 3), longs(1, 2)));
      refused(
          "crossEntropy: targets is [3]; wanted [2], one class a row of logits",
          () -> kernels().crossEntropy(x, longs(1, 2, 3), 0, 3, statistic(2), statistic(2)));
      refused(
          "crossEntropy: firstColumn is -4; wanted 0 or more",
          () -> kernels().crossEntropy(x, longs(1, 2), -4, 3, statistic(2), statistic(2)));
      refused(
          "crossEntropy: classes is 6; wanted at least 7, those up to the last column of logits",
          () -> kernels().crossEntropy(x, longs(1, 2), 4, 6, statistic(2), statistic(2)));
      refused(
          "crossEntropyBackward: dloss is [2]; wanted one element",
          () ->
              kernels()
                  .crossEntropyBackward(
                      x, longs(1, 2), 0, statistic(2), statistic(2), array(2, 3)));
      refused(
          "crossEntropyBackward: dlogits is [3,2]; wanted [2,3], that of logits",
          () ->
              kernels()
                  .crossEntropyBackward(
                      x, longs(1, 2), 0, statistic(2), statistic(1), array(3, 2)));
    }
  }

  @Test
  default void misuse_attention_isRefused() {
    try (MemoryScope scope = MemoryScope.open()) {
      NDArray q = array(1, 4, 3, 8);
      NDArray k = array(1, 5, 2, 8);
      NDArray out = array(1, 4, 3, 8);
      refused(
          "attention: q has 3 heads and k has 2: the former must be a multiple of the latter",
          () -> kernels().attention(q, k, k, AttentionMask.FULL, 1, out, statistic(1, 3, 4)));
      NDArray wide = array(1, 5, 3, 6);
      refused(
          "attention: q is [1,4,3,8] and k is [1,5,3,6]: batch (first) and head size (last) must"
              + " be equal",
          () -> kernels().attention(q, wide, wide, AttentionMask.FULL, 1, out, statistic(1, 3, 4)));
      NDArray key = array(1, 5, 1, 8);
      refused(
          "attention: logSumExp is [1,4,3]; wanted [1,3,4], batch by heads by queries of q"
              + " [1,4,3,8]",
          () -> kernels().attention(q, key, key, AttentionMask.FULL, 1, out, statistic(1, 4, 3)));
      refused(
          "attention: out shares memory with q, which this kernel cannot compute in place; pass"
              + " another array",
          () -> kernels().attention(q, key, key, AttentionMask.FULL, 1, q, statistic(1, 3, 4)));
      NDArray strided = array(1, 4, 8, 3).transpose(2, 3);
      refused(
          "attention: q [1,4,3,8] has stride 3 in its innermost dim; wanted 1: pass q.contiguous()",
          () ->
              kernels()
                  .attention(strided, key, key, AttentionMask.FULL, 1, out, statistic(1, 3, 4)));
      refused(
          "rotary: x is [1,4,1,7] with head size 7; wanted an even one",
          () ->
              kernels()
                  .rotary(
                      array(1, 4, 1, 7),
                      statistic(4, 3),
                      statistic(4, 3),
                      false,
                      array(1, 4, 1, 7)));
      refused(
          "rotary: cos is [5,4]; wanted [4,4], sequence length by half the head size",
          () -> kernels().rotary(q, statistic(5, 4), statistic(4, 4), false, out));
    }
  }

  @Test
  default void misuse_updates_isRefused() {
    try (MemoryScope scope = MemoryScope.open()) {
      RandomKey key = RandomKey.of(1, "misuse");
      GlobalIndex index = new GlobalIndex(0, 1);
      refused(
          "randomNormal: the global index has 1 strides and y is [2,3]; wanted one a dim",
          () -> kernels().randomNormal(key, index, 0, 1, array(2, 3)));
      refused(
          "dropout: probability is 1.0; wanted 0 or more and less than 1",
          () -> kernels().dropout(key, index, 1, array(3), array(3)));
      refused(
          "adamW: step is 0; wanted 1 or more: the first step is 1",
          () ->
              kernels()
                  .adamW(
                      new AdamWStep(0.1, 0.9, 0.99, 1e-8, 0, 0, 1),
                      statistic(3),
                      array(3),
                      statistic(3),
                      statistic(3),
                      null));
      AdamWStep step = new AdamWStep(0.1, 0.9, 0.99, 1e-8, 0, 1, 1);
      refused(
          "adamW: firstMoment is [4]; wanted [3], that of gradient",
          () -> kernels().adamW(step, statistic(3), array(3), statistic(4), statistic(3), null));
      if (dtype() == dtype().accumulation()) {
        refused(
            "adamW: copy is given but gradient and weight are both "
                + dtype()
                + ": the weight itself is the copy; pass null",
            () ->
                kernels()
                    .adamW(step, statistic(3), array(3), statistic(3), statistic(3), array(3)));
      }
    }
  }

  @Test
  default void misuse_memoryGivenBack_isNamed() {
    try (MemoryScope scope = MemoryScope.open()) {
      NDArray gone = array(2, 3);
      NDArray x = array(2, 3);
      gone.free();
      assertThatThrownBy(() -> kernels().scale(x, 2, gone))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("is used after its memory was given back");
      assertThatThrownBy(() -> kernels().fill(gone, 1))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("is used after its memory was given back");
    }
  }
}
