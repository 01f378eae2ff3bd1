package dev.heddle.runtime.conformance;

import dev.heddle.runtime.DType;

class CublasProductsBF16ConformanceTest extends CublasProductsConformance {
  @Override
  public DType dtype() {
    return DType.BF16;
  }
}
