package dev.heddle.jmh;

import static dev.heddle.ops.Add.add;
import static dev.heddle.ops.Attention.packed;
import static dev.heddle.ops.CrossEntropy.crossEntropySum;
import static dev.heddle.ops.Embedding.embedding;
import static dev.heddle.ops.Gelu.gelu;
import static dev.heddle.ops.LayerNorm.layerNorm;
import static dev.heddle.ops.Linear.linear;
import static dev.heddle.ops.Softmax.softmax;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import java.util.List;

/**
 * The operators that a transformer's step spends its time in, with the sizes of {@link
 * StepModel#GPT}: 8 samples of 256 tokens, 384 features, 6 heads, 512 words.
 */
public enum BenchmarkedOperator {
  /** The residual stream. */
  ADD_2048x384(new long[] {2048, 384}, new long[] {2048, 384}) {
    @Override
    Tensor apply(List<Tensor> in, NDArray words) {
      return add(in.get(0), in.get(1));
    }
  },
  /** The hidden layer of an MLP. */
  GELU_2048x1536(new long[] {2048, 1536}) {
    @Override
    Tensor apply(List<Tensor> in, NDArray words) {
      return gelu(in.get(0));
    }
  },
  /** The scores of all heads, were they kept. */
  SOFTMAX_12288x256(new long[] {12288, 256}) {
    @Override
    Tensor apply(List<Tensor> in, NDArray words) {
      return softmax(in.get(0));
    }
  },
  /** The norm before each layer. */
  LAYER_NORM_2048x384(new long[] {2048, 384}, new long[] {384}, new long[] {384}) {
    @Override
    Tensor apply(List<Tensor> in, NDArray words) {
      return layerNorm(in.get(0), in.get(1), in.get(2), 1e-5);
    }
  },
  /** The first half of an MLP, GELU fused. */
  LINEAR_GELU_2048x384_1536(new long[] {2048, 384}, new long[] {1536, 384}, new long[] {1536}) {
    @Override
    Tensor apply(List<Tensor> in, NDArray words) {
      return linear(in.get(0), in.get(1), in.get(2), UnaryOperation.GELU);
    }
  },
  /** The second half of an MLP. */
  LINEAR_2048x1536_384(new long[] {2048, 1536}, new long[] {384, 1536}, new long[] {384}) {
    @Override
    Tensor apply(List<Tensor> in, NDArray words) {
      return linear(in.get(0), in.get(1), in.get(2));
    }
  },
  /** A language model's attention. */
  ATTENTION_CAUSAL_8x256x6x64(new long[] {8, 256, 18, 64}) {
    @Override
    Tensor apply(List<Tensor> in, NDArray words) {
      return packed(in.get(0), 6, AttentionMask.CAUSAL, 0.125);
    }
  },
  /** A vision transformer's attention. */
  ATTENTION_FULL_8x196x6x64(new long[] {8, 196, 18, 64}) {
    @Override
    Tensor apply(List<Tensor> in, NDArray words) {
      return packed(in.get(0), 6, AttentionMask.FULL, 0.125);
    }
  },
  /** The loss. */
  CROSS_ENTROPY_2048x512(new long[] {2048, 512}) {
    @Override
    Tensor apply(List<Tensor> in, NDArray words) {
      return crossEntropySum(in.get(0), words);
    }
  },
  /** The words' vectors. */
  EMBEDDING_2048_of_512x384(new long[] {512, 384}) {
    @Override
    Tensor apply(List<Tensor> in, NDArray words) {
      return embedding(words, in.get(0));
    }
  };

  private final long[][] shapes;

  BenchmarkedOperator(long[]... shapes) {
    this.shapes = shapes;
  }

  /** Input shapes. */
  List<Shape> shapes() {
    return List.of(shapes).stream().map(Shape::of).toList();
  }

  /** 2048 words of a vocabulary of 512. */
  static NDArray words(Device device) {
    return BenchmarkDevice.whole(device, 5, 512, Shape.of(2048));
  }

  /**
   * The operator.
   *
   * @param inputs of {@link #shapes()}
   * @param words what {@link #words} gives, on the same device
   */
  abstract Tensor apply(List<Tensor> inputs, NDArray words);
}
