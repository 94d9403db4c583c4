using System.Collections.Generic;

namespace Flameport
{
    /// <summary>What a joint of a face does; joints of other roles have none.</summary>
    public enum JointRole { Root, Neck, Jaw, LeftEye, RightEye }

    /// <summary>
    /// The head: blendshapes and a skeleton, identity put into the template. Metres, right-handed;
    /// `formats.head_model.HeadModel`.
    /// </summary>
    public sealed class Head
    {
        /// <summary>Names of roles in files, in the order of <see cref="JointRole"/>.</summary>
        public static readonly string[] RoleNames = { "root", "neck", "jaw", "left_eye", "right_eye" };

        public string Edition = "";
        public string ContentHash = "";
        /// <summary>V * 3.</summary>
        public float[] Template = new float[0];
        /// <summary>F * 3; frames hang on the order of corners.</summary>
        public int[] Faces = new int[0];
        public string[] ExpressionNames = new string[0];
        public SparseRows[] Expressions = new SparseRows[0];
        /// <summary>Left and right, or none.</summary>
        public SparseRows[] Eyelids = new SparseRows[0];
        /// <summary>Entries of R - I, row-major, of neck, jaw, left eye, right eye; 36 or none.</summary>
        public SparseRows[] Correctives = new SparseRows[0];
        /// <summary>Lids are added after skinning, turned by the root alone.</summary>
        public bool EyelidsPosed;
        public string[] JointNames = new string[0];
        /// <summary>-1: none. Parents come before their children.</summary>
        public int[] Parents = new int[0];
        /// <summary>Joint of each <see cref="JointRole"/>, -1 where there is none.</summary>
        public int[] Roles = { -1, -1, -1, -1, -1 };
        /// <summary>J * 3.</summary>
        public double[] RestJoints = new double[0];
        /// <summary>J * E * 3, joint-major: how rest joints move; null where they do not.</summary>
        public float[]? JointExpressions;
        /// <summary>Rows sum to 1.</summary>
        public Influences Weights = new Influences(new int[1], new int[0], new double[0]);
        /// <summary>52 rows of E + 14: ARKit's weights to expressions, jaw 3, neck 3, eyes 6, eyelids 2; null when
        /// unknown.</summary>
        public float[]? ArkitMap;
        /// <summary>F * 3 * 2, (0, 0) the picture's top left; null without.</summary>
        public float[]? CornerUvs;
        /// <summary>V * 4 bytes, display sRGB; null without.</summary>
        public byte[]? VertexColors;
        /// <summary>A PNG; null without.</summary>
        public byte[]? Albedo;

        public int VertexCount => Template.Length / 3;
        public int FaceCount => Faces.Length / 3;
        public int JointCount => Parents.Length;

        public int Joint(JointRole role) => Roles[(int)role];

        /// <summary>Return names by number.</summary>
        public Dictionary<string, int> ExpressionColumns()
        {
            var columns = new Dictionary<string, int>();
            for (int i = 0; i < ExpressionNames.Length; i++) columns[ExpressionNames[i]] = i;
            return columns;
        }

        /// <summary>Fail unless its numbers fit each other; <paramref name="where"/> names the file.</summary>
        public void Check(string where)
        {
            if (JointNames.Length != JointCount || RestJoints.Length != 3 * JointCount || Weights.Rows != VertexCount
                || ExpressionNames.Length != Expressions.Length || FaceCount == 0
                || (JointExpressions != null && JointExpressions.Length != 3 * JointCount * Expressions.Length)
                || (ArkitMap != null && ArkitMap.Length != 52 * (Expressions.Length + 14)))
            {
                throw new AvatarFormatException($"{where}: the head's tables do not fit each other. Export the "
                    + $"avatar again.");
            }
            for (int j = 0; j < JointCount; j++)
            {
                if (Parents[j] < -1 || Parents[j] >= j) throw new AvatarFormatException($"{where}: joint {j} comes "
                    + $"before its parent.");
            }
            foreach (int joint in Roles)
            {
                if (joint < -1 || joint >= JointCount) throw new AvatarFormatException($"{where}: a role names "
                    + $"joint {joint} of {JointCount}.");
            }
            foreach (int joint in Weights.Joints)
            {
                if (joint < 0 || joint >= JointCount) throw new AvatarFormatException($"{where}: a weight names "
                    + $"joint {joint} of {JointCount}.");
            }
            foreach (int vertex in Faces)
            {
                if (vertex < 0 || vertex >= VertexCount) throw new AvatarFormatException($"{where}: a triangle "
                    + $"names vertex {vertex} of {VertexCount}.");
            }
        }
    }
}
