package dev.heddle.jmh;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Layers;
import dev.heddle.nn.Module;
import dev.heddle.runtime.NDArray;
import java.util.List;

/** A {@link BenchmarkModel} built from {@code nn}, as a user would. */
abstract sealed class StepNetwork extends Module permits StepTransformer, CaptionNetwork {
  /** The network of {@code model}, with the first weights that the model names. */
  static StepNetwork of(BenchmarkModel model, Layers layers) {
    StepNetwork network =
        switch (model) {
          case StepModel step -> new StepTransformer(step, layers);
          case CaptionModel caption -> new CaptionNetwork(caption, layers);
        };
    network.copyWeights(model);
    return network;
  }

  /** The sum of the losses over all of {@code batch}. */
  abstract Tensor lossSum(StepBatch batch);

  /** Both list the weights in the order of the forward pass; packed ones differ in shape only. */
  private void copyWeights(BenchmarkModel model) {
    List<StepModel.Weight> weights = model.weights();
    if (weights.size() != parameters().size()) {
      throw new IllegalStateException(
          "StepNetwork: "
              + parameters().size()
              + " parameters for "
              + weights.size()
              + " weights of "
              + model.name());
    }
    for (int i = 0; i < weights.size(); i++) {
      NDArray value = parameters().get(i).tensor().value();
      StepModel.Weight weight = weights.get(i);
      String kind = weight.name().substring(weight.name().lastIndexOf('.'));
      if (value.size() != weight.size() || !parameters().get(i).name().endsWith(kind)) {
        throw new IllegalStateException(
            "StepNetwork: parameter " + parameters().get(i) + " is not " + weight);
      }
      value.writeDoubles(widened(model.initial(i)));
    }
  }

  static double[] widened(float[] values) {
    double[] wide = new double[values.length];
    for (int i = 0; i < wide.length; i++) {
      wide[i] = values[i];
    }
    return wide;
  }
}
