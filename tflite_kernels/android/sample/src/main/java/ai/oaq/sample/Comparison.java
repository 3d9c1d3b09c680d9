// SPDX-License-Identifier: Apache-2.0
package ai.oaq.sample;

import java.util.Arrays;

/** What two classifiers make of a picture, and how long it takes them. */
final class Comparison {
  private static final int WARM_UP = 3;
  private static final int RUNS = 21;

  final int stockAnswer;
  final int ourAnswer;
  final double stockMilliseconds;
  final double ourMilliseconds;

  /** Runs both in turns, so that a core's clock and temperature are the same for both. */
  Comparison(Classifier stock, Classifier ours, int[] pixels) {
    stock.setPicture(pixels);
    ours.setPicture(pixels);
    final long[] stockTimes = new long[RUNS];
    final long[] ourTimes = new long[RUNS];
    for (int i = -WARM_UP; i < RUNS; ++i) {
      final long stockTime = stock.run();
      final long ourTime = ours.run();
      if (i >= 0) {
        stockTimes[i] = stockTime;
        ourTimes[i] = ourTime;
      }
    }
    stockAnswer = stock.answer();
    ourAnswer = ours.answer();
    stockMilliseconds = median(stockTimes);
    ourMilliseconds = median(ourTimes);
  }

  private static double median(long[] nanoseconds) {
    Arrays.sort(nanoseconds);
    return nanoseconds[nanoseconds.length / 2] / 1e6;
  }
}
