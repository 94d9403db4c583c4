using System;
using System.Collections.Generic;
using NUnit.Framework;

namespace Flameport.Tests
{
    /// <summary>What the editor's importer and inspector leave to the core.</summary>
    public sealed class EditorPartsTests
    {
        [Test]
        public void APortraitShowsTheFaceUpright()
        {
            const int size = 64;
            Avatar avatar = Avatar.Read(SelfTestFile.Read(Golden.Bytes(Golden.SelfTest())).Player.Avatar);
            byte[] rgba = Portrait.Draw(avatar, size)!;
            Assert.AreEqual(4 * size * size, rgba.Length);
            for (int corner = 0; corner < 2; corner++)
            {
                Assert.AreEqual(0, rgba[4 * (size * (size - 1) + corner * (size - 1)) + 3], "above the head");
            }
            int covered = 0;
            double above = 0, below = 0;
            for (int p = 0; p < size * size; p++)
            {
                if (rgba[4 * p + 3] > 200) covered++;
                bool middle = p % size > 24 && p % size < 40;
                int row = p / size;
                if (middle && row > 24 && row < 30) below += rgba[4 * p] + rgba[4 * p + 1] + rgba[4 * p + 2];
                if (middle && row > 52 && row < 58) above += rgba[4 * p] + rgba[4 * p + 1] + rgba[4 * p + 2];
            }
            Assert.IsTrue(covered > size * size / 4 && covered < size * size * 0.9, covered.ToString());
            // Dark hair is above, skin below.
            Assert.Less(above, 0.7 * below);
        }

        [Test]
        public void WhatHasNoGaussiansHasNoPortrait()
        {
            Avatar avatar = Avatar.Read(SelfTestFile.Read(Golden.Bytes(Golden.SelfTest())).Player.Avatar);
            avatar.Layers = new Layer[0];
            Assert.IsNull(Portrait.Draw(avatar, 16));
        }

        [Test]
        public void AdviceIsGivenWhereItIsNeeded()
        {
            Assert.AreEqual(0, new List<string>(Advice.On(true, true, false, "UniversalRenderPipelineAsset")).Count);
            Assert.AreEqual(0, new List<string>(Advice.On(true, false, true, "")).Count);
            Assert.AreEqual(3, new List<string>(Advice.On(false, true, true, "HDRenderPipelineAsset")).Count);
        }

        [Test]
        public void ShapesAreFoundByTheirPartOfTheFace()
        {
            List<string>[] found = FaceRegions.Sorted(Arkit.Names);
            int count = 0;
            foreach (List<string> part in found) count += part.Count;
            Assert.AreEqual(Arkit.Names.Length, count);
            CollectionAssert.Contains(found[Array.IndexOf(FaceRegions.Names, "Brows")], "browInnerUp");
            CollectionAssert.Contains(found[Array.IndexOf(FaceRegions.Names, "Eyes")], "eyeBlinkLeft");
            CollectionAssert.Contains(found[Array.IndexOf(FaceRegions.Names, "Jaw and tongue")], "tongueOut");
            Assert.AreEqual(0, found[found.Length - 1].Count);
            Assert.AreEqual(FaceRegions.Names.Length - 1, FaceRegions.Of("expr_7"));
        }
    }
}
