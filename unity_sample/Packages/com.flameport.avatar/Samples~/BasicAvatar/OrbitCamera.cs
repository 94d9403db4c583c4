using UnityEngine;

namespace Flameport.Samples
{
    /// <summary>Turns a camera around a point: drag to turn, scroll to come nearer.</summary>
    public sealed class OrbitCamera : MonoBehaviour
    {
        public Vector3 middle = Vector3.zero;
        public float distance = 0.9f;
        public float yaw = 180;
        public float pitch = 0;

        // Events of OnGUI come in projects with either input system.
        private void OnGUI()
        {
            Event now = Event.current;
            if (now.type == EventType.MouseDrag)
            {
                yaw += 0.3f * now.delta.x;
                pitch = Mathf.Clamp(pitch + 0.3f * now.delta.y, -80, 80);
            }
            if (now.type == EventType.ScrollWheel) distance = Mathf.Clamp(distance * (1 + 0.03f * now.delta.y), 0.35f, 3);
        }

        private void LateUpdate()
        {
            transform.rotation = Quaternion.Euler(pitch, yaw, 0);
            transform.position = middle - distance * transform.forward;
        }
    }
}
