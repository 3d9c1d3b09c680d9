// SPDX-License-Identifier: Apache-2.0
package ai.oaq.tflite;

import java.nio.charset.StandardCharsets;
import org.tensorflow.lite.Delegate;

/**
 * Runs int8 convolutions and fully connected layers with int16 sums where they are proven to fit.
 *
 * <p>Give it to {@code Interpreter.Options.addDelegate}. A delegate belongs to one interpreter and
 * must be closed after it:
 *
 * <pre>{@code
 * try (OaqDelegate delegate = new OaqDelegate(new OaqDelegate.Options().setNumThreads(2));
 *     Interpreter interpreter =
 *         new Interpreter(model, new Interpreter.Options().addDelegate(delegate))) {
 *   interpreter.run(input, output);
 * }
 * }</pre>
 *
 * <p>Results of these equal those of TensorFlow Lite's reference kernels to the bit. docs/format.md
 * describes options and plan.
 */
public final class OaqDelegate implements Delegate, AutoCloseable {
  /** Where sums are taken in 16 bits. */
  public enum Plan {
    /** Where it costs less on this CPU. */
    AUTO("auto"),
    /** Wherever it is proven. */
    INT16("int16"),
    /** Nowhere. */
    EXACT("exact");

    private final String text;

    Plan(String text) {
      this.text = text;
    }
  }

  /** Options of a delegate; it keeps no reference to them. */
  public static final class Options {
    private boolean builtin = false;
    private String isa = "auto";
    private Plan plan = Plan.AUTO;
    private int numThreads = 1;
    private boolean profile = false;

    /** Whether to run builtin int8 operators too, not only Oaq ones. Default: false. */
    public Options setBuiltin(boolean builtin) {
      this.builtin = builtin;
      return this;
    }

    /** Kernels to use, "scalar" or "neon" for example. Default: "auto", the best for this CPU. */
    public Options setIsa(String isa) {
      this.isa = given("isa", isa, "\"auto\" or the name of kernels, as docs/format.md has them");
      return this;
    }

    /** Where sums are taken in 16 bits. Default: {@link Plan#AUTO}. */
    public Options setPlan(Plan plan) {
      this.plan = given("plan", plan, "Plan.AUTO, Plan.INT16 or Plan.EXACT");
      return this;
    }

    /** Threads of the kernels, the caller's among them, 1 to 9999. Default: 1. */
    public Options setNumThreads(int numThreads) {
      this.numThreads = numThreads;
      return this;
    }

    /** Whether the plan counts and times invocations. Default: false. */
    public Options setProfile(boolean profile) {
      this.profile = profile;
      return this;
    }
  }

  private static final String LIBRARY = "oaq_tflite_jni";

  // The address of the native delegate; 0 once closed.
  private long handle;

  /** A delegate with default options. */
  public OaqDelegate() {
    this(new Options());
  }

  /**
   * A delegate.
   *
   * @throws IllegalArgumentException where an option has a value that it can't have on this CPU
   * @throws IllegalStateException where the native library is not in the app
   */
  public OaqDelegate(Options options) {
    given("options", options, "new OaqDelegate.Options()");
    load();
    handle =
        nativeCreate(
            options.builtin, options.isa, options.plan.text, options.numThreads, options.profile);
  }

  /**
   * The address of the native delegate, for the interpreter.
   *
   * @throws IllegalStateException where the delegate was closed
   */
  @Override
  public synchronized long getNativeHandle() {
    return open();
  }

  /**
   * What runs each operator that the delegate saw, and why, as JSON. Not while the interpreter runs.
   *
   * @throws IllegalStateException where the delegate was closed
   */
  public synchronized String planJson() {
    return new String(nativePlanJson(open()), StandardCharsets.UTF_8);
  }

  /** Frees the native delegate, once; its interpreter must have been closed before. */
  @Override
  public synchronized void close() {
    final long closed = handle;
    handle = 0;
    if (closed != 0) {
      nativeDestroy(closed);
    }
  }

  /** The version of the native library, "major.minor.patch". */
  public static String version() {
    load();
    return nativeVersion();
  }

  private long open() {
    if (handle == 0) {
      throw new IllegalStateException(
          "OaqDelegate was closed, expected an open one: close it after its interpreter, and"
              + " create another for the next");
    }
    return handle;
  }

  private static <T> T given(String name, T value, String expected) {
    if (value == null) {
      throw new IllegalArgumentException(name + " is null, expected " + expected);
    }
    return value;
  }

  // Not in a static initializer: the second use of a class whose initializer failed hides why.
  private static void load() {
    try {
      System.loadLibrary(LIBRARY);
    } catch (UnsatisfiedLinkError error) {
      throw new IllegalStateException(
          "could not load lib" + LIBRARY + ".so, which the AAR has for arm64-v8a, armeabi-v7a and"
              + " x86_64: keep these ABIs in the app, and on others use no OaqDelegate",
          error);
    }
  }

  private static native String nativeVersion();

  private static native long nativeCreate(
      boolean builtin, String isa, String plan, int numThreads, boolean profile);

  private static native void nativeDestroy(long handle);

  private static native byte[] nativePlanJson(long handle);
}
