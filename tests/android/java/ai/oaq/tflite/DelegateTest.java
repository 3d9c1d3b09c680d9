// SPDX-License-Identifier: Apache-2.0
package ai.oaq.tflite;

import org.tensorflow.lite.Delegate;

/** OaqDelegate in a JVM, without an interpreter. Exits with an error where a check fails. */
final class DelegateTest {
  private interface Action {
    void run();
  }

  public static void main(String[] arguments) throws InterruptedException {
    if (arguments.length > 0 && arguments[0].equals("without-library")) {
      withoutTheLibrary();
      return;
    }
    optionsAreTaken();
    closingTwiceIsClosingOnce();
    manyThreadsCloseOnce();
    badOptionsAreRefused();
    System.out.println(OaqDelegate.version());
  }

  private static void optionsAreTaken() {
    for (OaqDelegate.Plan plan : OaqDelegate.Plan.values()) {
      final OaqDelegate.Options options =
          new OaqDelegate.Options()
              .setBuiltin(true)
              .setIsa("scalar")
              .setPlan(plan)
              .setNumThreads(2)
              .setProfile(true);
      // Options are used twice, and so is each delegate.
      try (OaqDelegate one = new OaqDelegate(options);
          OaqDelegate other = new OaqDelegate(options);
          OaqDelegate plain = new OaqDelegate()) {
        final Delegate seen = one;
        check(seen.getNativeHandle() != 0, "a handle of 0");
        check(seen.getNativeHandle() == one.getNativeHandle(), "a handle that changes");
        check(one.getNativeHandle() != other.getNativeHandle(), "a handle that two share");
        check(plain.getNativeHandle() != 0, "a handle of 0 by default");
        check(one.planJson().trim().equals("[]"), "a plan of nothing: " + one.planJson());
        check(one.planJson().equals(other.planJson()), "plans that differ");
      }
    }
  }

  private static void closingTwiceIsClosingOnce() {
    final OaqDelegate delegate = new OaqDelegate();
    delegate.close();
    delegate.close();
    final String expected = "OaqDelegate was closed, expected an open one";
    refused(IllegalStateException.class, expected, delegate::getNativeHandle);
    refused(IllegalStateException.class, expected, delegate::planJson);
  }

  private static void manyThreadsCloseOnce() throws InterruptedException {
    for (int round = 0; round < 100; ++round) {
      final OaqDelegate delegate = new OaqDelegate();
      final Thread[] threads = new Thread[4];
      for (int i = 0; i < threads.length; ++i) {
        threads[i] = new Thread(delegate::close);
        threads[i].start();
      }
      for (Thread thread : threads) {
        thread.join();
      }
    }
  }

  private static void badOptionsAreRefused() {
    for (int threads : new int[] {0, -1, 10000, Integer.MIN_VALUE}) {
      refused(
          IllegalArgumentException.class,
          "option num_threads is '" + threads + "', expected 1 to 9999",
          () -> new OaqDelegate(new OaqDelegate.Options().setNumThreads(threads)));
    }
    // A message holds 40 bytes of what was given, and cuts the last one's characters.
    for (String isa : new String[] {"", "sve9", "n\u00e9on", repeat("\ud83d\ude00\u00e9", 20)}) {
      refused(
          IllegalArgumentException.class,
          "expected what this CPU and build have: auto, scalar",
          () -> new OaqDelegate(new OaqDelegate.Options().setIsa(isa)));
    }
    refused(
        IllegalArgumentException.class,
        "isa is null, expected",
        () -> new OaqDelegate.Options().setIsa(null));
    refused(
        IllegalArgumentException.class,
        "plan is null, expected Plan.AUTO",
        () -> new OaqDelegate.Options().setPlan(null));
    refused(
        IllegalArgumentException.class, "options is null, expected", () -> new OaqDelegate(null));
  }

  private static void withoutTheLibrary() {
    // The second time says as much as the first.
    for (int i = 0; i < 2; ++i) {
      refused(
          IllegalStateException.class,
          "could not load liboaq_tflite_jni.so, which the AAR has for arm64-v8a",
          OaqDelegate::new);
    }
  }

  private static void refused(Class<?> type, String text, Action action) {
    try {
      action.run();
    } catch (RuntimeException error) {
      check(error.getClass() == type, "expected " + type + ", got " + error);
      check(error.getMessage().contains(text), "expected '" + text + "', got " + error);
      // Android aborts on anything else that is not whole.
      check(error.getMessage().chars().allMatch(c -> c < 128), "not ASCII: " + error);
      return;
    }
    throw new AssertionError("not refused, expected " + text);
  }

  private static String repeat(String text, int times) {
    final StringBuilder all = new StringBuilder();
    for (int i = 0; i < times; ++i) {
      all.append(text);
    }
    return all.toString();
  }

  private static void check(boolean holds, String otherwise) {
    if (!holds) {
      throw new AssertionError(otherwise);
    }
  }
}
