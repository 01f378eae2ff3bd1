package dev.heddle.jmh;

import static org.bytedeco.pytorch.global.torch.cat;
import static org.bytedeco.pytorch.global.torch.cross_entropy_loss;
import static org.bytedeco.pytorch.global.torch.embedding;
import static org.bytedeco.pytorch.global.torch.gelu;
import static org.bytedeco.pytorch.global.torch.layer_norm;
import static org.bytedeco.pytorch.global.torch.linear;
import static org.bytedeco.pytorch.global.torch.rms_norm;
import static org.bytedeco.pytorch.global.torch.set_num_threads;
import static org.bytedeco.pytorch.global.torch.softmax;

import dev.heddle.runtime.Shape;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorArrayRefOptional;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorVector;
import org.jspecify.annotations.Nullable;

/** The peer of {@link HeddleOperatorWorker}: the same operators in libtorch. */
public final class JavaCppOperatorWorker implements OperatorProtocol.Runner {
  private static final TensorOptional NONE = new TensorOptional();
  private static final Tensor UNDEFINED = new Tensor();

  /** What cross_entropy_loss calls a sum over rows, and the target that it passes over. */
  private static final long SUM = 2;

  private static final long NO_TARGET = -100;

  private final JavaCppModel.AttentionForm attention;
  private final Clock clock;
  private BenchmarkedOperator operator = BenchmarkedOperator.ADD_1;
  private List<Tensor> inputs = List.of();
  private final List<TensorOptional> optionals = new ArrayList<>();
  private Tensor words = new Tensor();
  private Tensor dy = new Tensor();
  private @Nullable Tensor mask;
  private @Nullable FusedAdamW optimizer;
  private List<Tensor> gradients = List.of();

  private JavaCppOperatorWorker(JavaCppModel.AttentionForm attention, int threads) {
    this.attention = attention;
    this.clock = new Clock(threads);
  }

  /** Packed queries, keys and values are taken apart here: libtorch's kernels want them so. */
  private static boolean isAttention(BenchmarkedOperator operator) {
    return operator.name().startsWith("ATTENTION");
  }

  @Override
  public OperatorProtocol.Prints prepare(BenchmarkedOperator next) {
    inputs.forEach(Tensor::close);
    inputs = new ArrayList<>();
    optionals.clear();
    optimizer = null;
    gradients.forEach(Tensor::close);
    gradients = new ArrayList<>();
    operator = next;
    List<Shape> shapes = operator.shapes();
    for (int i = 0; i < shapes.size(); i++) {
      long[] dims = shapes.get(i).toArray();
      int size = Math.toIntExact(shapes.get(i).size());
      Tensor input = Tensor.create(BenchmarkModel.normal(10 + i, size), dims);
      if (isAttention(operator)) {
        long heads = dims[2] / 3;
        for (int part = 0; part < 3; part++) {
          inputs.add(input.narrow(2, part * heads, heads).transpose(1, 2).clone());
        }
        mask =
            operator.name().contains("CAUSAL")
                ? JavaCppModel.causalMask(dims[1], input.scalar_type())
                : null;
      } else {
        inputs.add(input);
      }
    }
    inputs.replaceAll(input -> input.contiguous());
    for (Tensor input : inputs) {
      input.requires_grad_(true);
      optionals.add(new TensorOptional(input));
    }
    if (operator.isUpdate()) {
      return prepareUpdate();
    }
    words = Tensor.create(operator.words());
    return compute();
  }

  private OperatorProtocol.Prints prepareUpdate() {
    for (int i = 0; i < inputs.size(); i++) {
      Shape shape = operator.shapes().get(i);
      float[] values = BenchmarkModel.normal(1000 + i, Math.toIntExact(shape.size()));
      gradients.add(Tensor.create(values, shape.toArray()));
    }
    FusedAdamW prepared;
    try {
      prepared = new FusedAdamW(inputs, inputs, false);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    optimizer = prepared;
    update(prepared);
    update(prepared);
    OperatorProtocol.Prints prints = new OperatorProtocol.Prints();
    inputs.forEach(input -> prints.add(numbers(input.detach())));
    return prints;
  }

  /** Nanoseconds of a step; it forgets the gradients, so they are handed to it before. */
  private long update(FusedAdamW prepared) {
    for (int i = 0; i < inputs.size(); i++) {
      inputs.get(i).mutable_grad().put(gradients.get(i));
    }
    long start = clock.nanos();
    prepared.step();
    return clock.nanos() - start;
  }

  private OperatorProtocol.Prints compute() {
    OperatorProtocol.Prints prints = new OperatorProtocol.Prints();
    Tensor y = apply();
    boolean heads = isAttention(operator);
    Tensor value = heads ? y.transpose(1, 2).contiguous() : y;
    float[] gradient = BenchmarkModel.normal(99, Math.toIntExact(value.numel()));
    long[] dims = value.sizes().vec().get();
    dy = dims.length == 0 ? Tensor.create(gradient).squeeze() : Tensor.create(gradient, dims);
    if (heads) {
      dy = dy.transpose(1, 2).contiguous();
    }
    prints.add(numbers(value.detach()));
    y.backward(dy, new BoolOptional(), false, new TensorArrayRefOptional());
    if (heads) {
      // As one array, as ours is.
      Tensor all =
          cat(
              new TensorVector(
                  inputs.get(0).grad(), inputs.get(1).grad(), inputs.get(2).grad()),
              1);
      prints.add(numbers(all.transpose(1, 2)));
    } else {
      inputs.forEach(input -> prints.add(numbers(input.grad())));
    }
    inputs.forEach(input -> input.mutable_grad().put(UNDEFINED));
    return prints;
  }

  private static float[] numbers(Tensor tensor) {
    Tensor whole = tensor.contiguous();
    float[] values = new float[Math.toIntExact(whole.numel())];
    new FloatPointer(whole.data_ptr_float()).get(values);
    return values;
  }

  private Tensor apply() {
    return switch (operator) {
      case ADD_1, ADD_2048x384 -> inputs.get(0).add(inputs.get(1));
      case GELU_2048x1536 -> gelu(inputs.get(0));
      case SOFTMAX_12288x256 -> softmax(inputs.get(0), -1);
      case LAYER_NORM_2048x384 ->
          layer_norm(
              inputs.get(0), new long[] {384}, optionals.get(1), optionals.get(2), 1e-5, true);
      case RMS_NORM_2048x384 ->
          rms_norm(inputs.get(0), new long[] {384}, optionals.get(1), new DoubleOptional(1e-5));
      case LINEAR_2048x384_1152, LINEAR_2048x1536_384 ->
          linear(inputs.get(0), inputs.get(1), optionals.get(2));
      case LINEAR_GELU_2048x384_1536 ->
          gelu(linear(inputs.get(0), inputs.get(1), optionals.get(2)));
      case LINEAR_1024x384_4096 -> linear(inputs.get(0), inputs.get(1));
      case ATTENTION_CAUSAL_8x256x6x64, ATTENTION_CAUSAL_32x96x6x64, ATTENTION_FULL_8x196x6x64 ->
          JavaCppModel.attend(attention, inputs.get(0), inputs.get(1), inputs.get(2), mask);
      case CROSS_ENTROPY_2048x512, CROSS_ENTROPY_1024x4096 ->
          cross_entropy_loss(inputs.get(0), words, NONE, SUM, NO_TARGET, 0.0);
      case EMBEDDING_2048_of_512x384, EMBEDDING_1024_of_4096x384 ->
          embedding(inputs.get(0), words);
      case ADAMW_GPT -> throw new UnsupportedOperationException("an update has no value");
    };
  }

  @Override
  public OperatorProtocol.Times once() {
    FusedAdamW prepared = optimizer;
    if (prepared != null) {
      try (PointerScope scope = new PointerScope()) {
        return new OperatorProtocol.Times(update(prepared), 0);
      }
    }
    int repeats = operator.repeats();
    if (repeats > 1) {
      return new OperatorProtocol.Times(forwards(repeats), 0);
    }
    try (PointerScope scope = new PointerScope()) {
      long start = clock.nanos();
      Tensor y = apply();
      long middle = clock.nanos();
      y.backward(dy, new BoolOptional(), false, new TensorArrayRefOptional());
      long end = clock.nanos();
      inputs.forEach(input -> input.mutable_grad().put(UNDEFINED));
      return new OperatorProtocol.Times(middle - start, end - middle);
    }
  }

  private double forwards(int repeats) {
    long start = clock.nanos();
    for (int i = 0; i < repeats; i++) {
      try (PointerScope scope = new PointerScope()) {
        apply();
      }
    }
    return (double) (clock.nanos() - start) / repeats;
  }

  /** Arguments: the number of threads; {@code flash} or {@code composed} attention. */
  public static void main(String[] arguments) throws IOException {
    int threads = Integer.parseInt(arguments[0]);
    set_num_threads(threads);
    OperatorProtocol.serve(
        new JavaCppOperatorWorker(
            arguments[1].equals("flash")
                ? JavaCppModel.AttentionForm.FLASH
                : JavaCppModel.AttentionForm.COMPOSED,
            threads));
    System.out.flush();
    // libtorch's threads do not end by themselves.
    Runtime.getRuntime().halt(0);
  }
}
