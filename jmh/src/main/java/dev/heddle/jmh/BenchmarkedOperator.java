package dev.heddle.jmh;

import static dev.heddle.ops.Add.add;
import static dev.heddle.ops.Attention.packed;
import static dev.heddle.ops.CrossEntropy.crossEntropySum;
import static dev.heddle.ops.Embedding.embedding;
import static dev.heddle.ops.Gelu.gelu;
import static dev.heddle.ops.LayerNorm.layerNorm;
import static dev.heddle.ops.Linear.linear;
import static dev.heddle.ops.RmsNorm.rmsNorm;
import static dev.heddle.ops.Softmax.softmax;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import java.util.ArrayList;
import java.util.List;

/**
 * The operators that a transformer's step spends its time in, with the sizes of {@link
 * StepModel#GPT}: 8 samples of 256 tokens, 384 features, 6 heads, 512 words.
 */
public enum BenchmarkedOperator {
  /** Nothing but an operator's fixed cost. */
  ADD_1(new long[] {1}, new long[] {1}) {
    @Override
    Tensor apply(List<Tensor> in, NDArray words) {
      return add(in.get(0), in.get(1));
    }

    @Override
    public int repeats() {
      return 500;
    }
  },
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
  /** The norm of newer language models. */
  RMS_NORM_2048x384(new long[] {2048, 384}, new long[] {384}) {
    @Override
    Tensor apply(List<Tensor> in, NDArray words) {
      return rmsNorm(in.get(0), in.get(1), 1e-5);
    }
  },
  /** Queries, keys and values. */
  LINEAR_2048x384_1152(new long[] {2048, 384}, new long[] {1152, 384}, new long[] {1152}) {
    @Override
    Tensor apply(List<Tensor> in, NDArray words) {
      return linear(in.get(0), in.get(1), in.get(2));
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
  /** The captioning model's head, which has no bias. */
  LINEAR_1024x384_4096(new long[] {1024, 384}, new long[] {4096, 384}) {
    @Override
    Tensor apply(List<Tensor> in, NDArray words) {
      return linear(in.get(0), in.get(1), null);
    }
  },
  /** A language model's attention. */
  ATTENTION_CAUSAL_8x256x6x64(new long[] {8, 256, 18, 64}) {
    @Override
    Tensor apply(List<Tensor> in, NDArray words) {
      return packed(in.get(0), 6, AttentionMask.CAUSAL, 0.125);
    }
  },
  /** The captioning model's attention in its language model. */
  ATTENTION_CAUSAL_32x96x6x64(new long[] {32, 96, 18, 64}) {
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
  /** The captioning model's loss. */
  CROSS_ENTROPY_1024x4096(new long[] {1024, 4096}) {
    @Override
    Tensor apply(List<Tensor> in, NDArray words) {
      return crossEntropySum(in.get(0), words);
    }

    @Override
    public long[] words() {
      return BenchmarkModel.whole(5, 1024, 4096);
    }
  },
  /** The words' vectors. */
  EMBEDDING_2048_of_512x384(new long[] {512, 384}) {
    @Override
    Tensor apply(List<Tensor> in, NDArray words) {
      return embedding(words, in.get(0));
    }
  },
  /** The captioning model's words' vectors. */
  EMBEDDING_1024_of_4096x384(new long[] {4096, 384}) {
    @Override
    Tensor apply(List<Tensor> in, NDArray words) {
      return embedding(words, in.get(0));
    }

    @Override
    public long[] words() {
      return BenchmarkModel.whole(5, 1024, 4096);
    }
  },
  /** The optimizer on all parameters of the GPT, its gradients there. */
  ADAMW_GPT(gptParameters()) {
    @Override
    Tensor apply(List<Tensor> in, NDArray words) {
      throw new UnsupportedOperationException("ADAMW_GPT updates its inputs and has no value");
    }

    @Override
    public boolean isUpdate() {
      return true;
    }
  };

  private final long[][] shapes;

  BenchmarkedOperator(long[]... shapes) {
    this.shapes = shapes;
  }

  /** Input shapes. */
  public List<Shape> shapes() {
    return List.of(shapes).stream().map(Shape::of).toList();
  }

  /** Words, for the operators that take some: 2048 of a vocabulary of 512. */
  public long[] words() {
    return BenchmarkModel.whole(5, 2048, 512);
  }

  /** The same on a device. */
  NDArray words(Device device) {
    long[] words = words();
    return NDArray.of(device, Shape.of(words.length), words);
  }

  /** Whether it is AdamW's step on its inputs, by {@link #apply} of no operator. */
  public boolean isUpdate() {
    return false;
  }

  /** The weights of {@link StepModel#GPT} in the order of the model. */
  private static long[][] gptParameters() {
    long size = StepModel.GPT.hiddenSize();
    List<long[]> shapes = new ArrayList<>();
    shapes.add(new long[] {StepModel.GPT.classes(), size});
    shapes.add(new long[] {StepModel.GPT.sequenceLength(), size});
    for (int block = 0; block < StepModel.GPT.layers(); block++) {
      addNorm(shapes, size);
      addLinear(shapes, size, 3 * size);
      addLinear(shapes, size, size);
      addNorm(shapes, size);
      addLinear(shapes, size, 4 * size);
      addLinear(shapes, 4 * size, size);
    }
    addNorm(shapes, size);
    shapes.add(new long[] {StepModel.GPT.classes(), size});
    return shapes.toArray(long[][]::new);
  }

  private static void addNorm(List<long[]> shapes, long size) {
    shapes.add(new long[] {size});
    shapes.add(new long[] {size});
  }

  private static void addLinear(List<long[]> shapes, long in, long out) {
    shapes.add(new long[] {out, in});
    shapes.add(new long[] {out});
  }

  /** How many times it runs between two looks at the clock. */
  public int repeats() {
    return 1;
  }

  /**
   * The operator.
   *
   * @param inputs of {@link #shapes()}
   * @param words what {@link #words} gives, on the same device
   */
  abstract Tensor apply(List<Tensor> inputs, NDArray words);
}
