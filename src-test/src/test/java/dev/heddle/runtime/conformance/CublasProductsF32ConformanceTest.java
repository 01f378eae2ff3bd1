package dev.heddle.runtime.conformance;

import dev.heddle.runtime.DType;

class CublasProductsF32ConformanceTest extends CublasProductsConformance {
  @Override
  public DType dtype() {
    return DType.F32;
  }
}
