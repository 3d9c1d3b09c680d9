// SPDX-License-Identifier: Apache-2.0
// What ai.oaq.tflite.OaqDelegate declares as native. Java holds the delegate's address as a long.

#include <jni.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tflite/delegate.h"

_Static_assert(sizeof(jlong) >= sizeof(TfLiteDelegate*), "a long holds an address");

static TfLiteDelegate* delegate_at(jlong handle) { return (TfLiteDelegate*)(intptr_t)handle; }

// ThrowNew aborts the process where the text is not "modified UTF-8", which a text that was cut
// need not be.
static void throw_new(JNIEnv* env, const char* class_name, const char* text) {
  OaqError ascii;
  oaq_fail(&ascii, "%s", text);
  for (char* at = ascii.text; *at != 0; ++at) {
    if ((unsigned char)*at >= 0x80) *at = '?';
  }
  const jclass found = (*env)->FindClass(env, class_name);
  // NULL: another exception is pending already.
  if (found != NULL) (*env)->ThrowNew(env, found, ascii.text);
}

static jlong create(JNIEnv* env, char** keys, char** values, size_t count) {
  OaqDelegateOptions options;
  OaqError error;
  if (!oaq_delegate_options_parse(keys, values, count, &options, &error)) {
    throw_new(env, "java/lang/IllegalArgumentException", error.text);
    return 0;
  }
  TfLiteDelegate* delegate = oaq_delegate_create(&options);
  if (delegate == NULL) throw_new(env, "java/lang/OutOfMemoryError", "no memory for OaqDelegate");
  return (jlong)(intptr_t)delegate;
}

JNIEXPORT jstring JNICALL Java_ai_oaq_tflite_OaqDelegate_nativeVersion(JNIEnv* env, jclass self) {
  (void)self;
  return (*env)->NewStringUTF(env, oaq_version());
}

// Options travel as text, so that Java's are checked, and refused, in the same words as everyone's.
JNIEXPORT jlong JNICALL Java_ai_oaq_tflite_OaqDelegate_nativeCreate(JNIEnv* env, jclass self,
                                                                    jboolean builtin, jstring isa,
                                                                    jstring plan, jint num_threads,
                                                                    jboolean profile) {
  (void)self;
  const char* isa_text = (*env)->GetStringUTFChars(env, isa, NULL);
  if (isa_text == NULL) return 0;  // OutOfMemoryError is pending
  const char* plan_text = (*env)->GetStringUTFChars(env, plan, NULL);
  if (plan_text == NULL) {
    (*env)->ReleaseStringUTFChars(env, isa, isa_text);
    return 0;
  }
  char threads[16];
  snprintf(threads, sizeof(threads), "%ld", (long)num_threads);
  char* keys[] = {"builtin", "isa", "plan", "num_threads", "profile"};
  char* values[] = {builtin ? "1" : "0", (char*)isa_text, (char*)plan_text, threads,
                    profile ? "1" : "0"};
  const jlong handle = create(env, keys, values, sizeof(keys) / sizeof(keys[0]));
  (*env)->ReleaseStringUTFChars(env, plan, plan_text);
  (*env)->ReleaseStringUTFChars(env, isa, isa_text);
  return handle;
}

JNIEXPORT void JNICALL Java_ai_oaq_tflite_OaqDelegate_nativeDestroy(JNIEnv* env, jclass self,
                                                                    jlong handle) {
  (void)env;
  (void)self;
  oaq_delegate_destroy(delegate_at(handle));
}

// As bytes: names of tensors are whatever the file holds, and NewStringUTF aborts on some of that.
JNIEXPORT jbyteArray JNICALL Java_ai_oaq_tflite_OaqDelegate_nativePlanJson(JNIEnv* env, jclass self,
                                                                           jlong handle) {
  (void)self;
  const TfLiteDelegate* delegate = delegate_at(handle);
  const size_t size = oaq_delegate_plan_json(delegate, NULL, 0);
  char* text = size < INT32_MAX ? malloc(size + 1) : NULL;
  if (text == NULL) {
    throw_new(env, "java/lang/OutOfMemoryError", "no memory for the plan's JSON");
    return NULL;
  }
  oaq_delegate_plan_json(delegate, text, size + 1);
  const jbyteArray bytes = (*env)->NewByteArray(env, (jsize)size);
  if (bytes != NULL) {
    (*env)->SetByteArrayRegion(env, bytes, 0, (jsize)size, (const jbyte*)text);
  }
  free(text);
  return bytes;
}
