#nullable disable
using System;
using System.Text.RegularExpressions;
using UnityEngine;

namespace UnityEngine.TestTools
{
    // com.unity.test-framework: reference-attribute-unitytest, -unitysetup, -unityteardown, -unityplatform; LogAssert
    [AttributeUsage(AttributeTargets.Method)]
    public class UnityTestAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.Method)]
    public class UnitySetUpAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.Method)]
    public class UnityTearDownAttribute : Attribute { }
    [AttributeUsage(AttributeTargets.Method | AttributeTargets.Class)]
    public class UnityPlatformAttribute : Attribute { public UnityPlatformAttribute(params RuntimePlatform[] include) { } }
    public static class LogAssert
    {
        public static bool ignoreFailingMessages { get; set; }
        public static void Expect(LogType type, string message) { }
        public static void Expect(LogType type, Regex message) { }
        public static void NoUnexpectedReceived() { }
    }
}
